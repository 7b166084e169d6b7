package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// containers lists the ids of the containers that the machine's runtime has files of: the names of their directories.
func containers(dir string) []string {
	paths, _ := filepath.Glob(filepath.Join(dir, "var/lib/containers/storage/*-containers/*"))
	var ids []string
	for _, path := range paths {
		// Between them lie files that list them.
		if id := filepath.Base(path); len(id) == 64 {
			ids = append(ids, id)
		}
	}
	return ids
}

// removeControlGroups removes the control groups of these containers, which outlive namespaces. They are named after
// them, with what stands before that, and nobody is in them any more.
func removeControlGroups(ids []string) {
	if len(ids) == 0 {
		return
	}
	var groups []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		// Groups of others come and go.
		if err == nil && entry.IsDir() && slices.ContainsFunc(ids, func(id string) bool {
			return strings.Contains(path, id)
		}) {
			groups = append(groups, path)
		}
		return nil
	})
	// The deepest first.
	slices.Reverse(groups)
	for _, group := range groups {
		_ = os.Remove(group)
	}
}
