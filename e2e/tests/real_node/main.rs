//! From an edit on the management cluster to what the kubelet of a real node pulls: manager, guest, kubelet, CRI-O, and the
//! agent as the pod that the manager pushed.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed
#![allow(clippy::print_stdout)] // what was measured, for those who ask for it

mod boot;
mod edits;
mod pod;
mod pods;
mod pulls;
mod runtime;
mod slow;
mod sources;
mod stage;
mod why;
