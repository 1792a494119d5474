package bench

// workloads returns all there are, in the order of "all", with rows of the
// sizes that o asks for.
func workloads(o Options) []Workload {
	return []Workload{
		putWorkload(o),
		getWorkload(o),
		smallWorkload(o),
		mapWorkload(o),
		shuffleWorkload(o),
		mergeWorkload(o),
		listWorkload(o),
		clientsWorkload(o),
		etlWorkload(o),
		scalingWorkload(o),
		lz4Workload(o),
	}
}
