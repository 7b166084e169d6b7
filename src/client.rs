//! The client of any Kubernetes API: connections, watches, optional kinds, deadlines, pages, back-off, causes of errors.

pub mod backoff;
pub mod cause;
pub mod connect;
pub mod deadline;
pub mod optional_kind;
pub mod pages;
#[cfg(test)]
pub mod testing;
pub mod watch;
