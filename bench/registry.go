package bench

// workloads returns all there are, in the order of "all", with rows of the
// sizes that o asks for.
func workloads(_ Options) []Workload {
	return []Workload{
		putWorkload(),
		getWorkload(),
	}
}
