//! hypermirror.
