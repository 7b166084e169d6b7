//! Talking to a Kubernetes API, whichever it is: connections, watches, deadlines.

pub mod connect;
pub mod deadline;
pub mod optional_kind;
pub mod watch;
