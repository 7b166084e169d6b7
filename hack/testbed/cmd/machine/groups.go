package main

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const groupRoot = "/sys/fs/cgroup"

// controlGroups lists the directories of the groups that processes of the machine are in and its first process is not.
func controlGroups(first int) []string {
	namespace, err := os.Readlink(filepath.Join("/proc", itoa(first), "ns/pid"))
	if err != nil {
		return nil
	}
	own := groupsOf(itoa(first))
	found := map[string]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		link, err := os.Readlink(filepath.Join("/proc", entry.Name(), "ns/pid"))
		if err != nil || link != namespace {
			continue
		}
		for group := range groupsOf(entry.Name()) {
			if !own[group] {
				found[group] = true
			}
		}
	}
	var groups []string
	for group := range found {
		groups = append(groups, group)
	}
	return groups
}

// groupsOf reads lines such as `8:pids:/crio/crio-0123` (version 1) or `0::/crio/crio-0123` (version 2).
func groupsOf(process string) map[string]bool {
	groups := map[string]bool{}
	text, err := os.ReadFile(filepath.Join("/proc", process, "cgroup"))
	if err != nil {
		return groups
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		controller := strings.TrimPrefix(parts[1], "name=")
		groups[filepath.Join(groupRoot, controller, parts[2])] = true
		if controller == "" {
			groups[filepath.Join(groupRoot, "unified", parts[2])] = true
		}
	}
	return groups
}

// removeControlGroups removes empty groups, the deepest first. What is not empty or gone already stays as it is.
func removeControlGroups(groups []string) {
	sort.Slice(groups, func(a, b int) bool { return len(groups[a]) > len(groups[b]) })
	for _, group := range groups {
		_ = os.Remove(group)
	}
}
