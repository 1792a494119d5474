package names

// Group is the keys that a merge reads for one output.
type Group struct {
	Name string  // of the output: the numeric prefix, and the suffix that all keys share
	Keys []int32 // indexes of its keys, in the order they were given
}

// Groups sorts keys, given by their names below one directory, into the groups of a
// merge: by numeric prefix, or by basename if they have none. A group is named after its
// prefix, followed by what comes after it in its keys if that is the same in all. No two
// groups get the same name, as a key named 0_a is in group 0. They are in the order of
// their first keys.
func Groups(keys []string) []Group {
	var groups []Group
	var suffixes []string
	index := make(map[string]int)
	for i, key := range keys {
		base := Base(key)
		name, suffix := base, ""
		if digits, ok := NumericPrefix(base); ok {
			name, suffix = digits, base[len(digits):]
		}
		g, ok := index[name]
		if !ok {
			g = len(groups)
			index[name] = g
			groups = append(groups, Group{Name: name})
			suffixes = append(suffixes, suffix)
		}
		if suffixes[g] != suffix {
			suffixes[g] = ""
		}
		groups[g].Keys = append(groups[g].Keys, int32(i))
	}
	for g := range groups {
		groups[g].Name += suffixes[g]
	}
	return groups
}

// GroupPrefix returns the numeric prefix of a group's name, or all of a name without one:
// what the keys of the group have in common.
func GroupPrefix(name string) string {
	if digits, ok := NumericPrefix(name); ok {
		return digits
	}
	return name
}
