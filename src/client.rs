//! Talking to a Kubernetes API, whichever it is: connections, watches, kinds that come and go, deadlines, pages, back-off.

pub mod backoff;
pub mod connect;
pub mod deadline;
pub mod optional_kind;
pub mod pages;
#[cfg(test)]
pub mod testing;
pub mod watch;
