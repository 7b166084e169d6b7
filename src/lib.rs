//! hypermirror: one deterministic map of image mirrors for every hosted control plane, guest and node.

pub mod mirrors;
