//! hypermirror.
fn main() {}
