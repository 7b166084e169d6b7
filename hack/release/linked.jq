# The crates that are linked into the programs, one a line, from cargo metadata: those that hypermirror reaches without build scripts and
# macros. A second way to what hack/release/sbom takes from cargo tree.
(.packages | map({key: .id, value: .}) | from_entries) as $packages
| (.resolve.nodes | map({key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind == null)) | .pkg]}) | from_entries) as $needs
| def is_macro: any($packages[.].targets[]; .kind | index("proc-macro"));
  def reached($seen; $new):
    if $new == [] then $seen
    else ([$new[] | $needs[.][] | select(is_macro | not)] | unique - $seen) as $next | reached($seen + $next; $next) end;
  [.packages[] | select(.name == "hypermirror") | .id] as $root
| reached($root; $root) - $root | .[] | $packages[.] | "\(.name) \(.version)"
