package bench

// workloads returns all there are, in the order of "all".
func workloads() []Workload {
	return []Workload{putWorkload(), getWorkload()}
}
