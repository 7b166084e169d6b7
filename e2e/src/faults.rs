//! A fleet under faults: its mirrors are edited all the time, replicas of the manager are killed, the API server restarts or
//! refuses, and the audit log is judged afterwards.

pub mod edits;
pub mod judge;
pub mod replicas;
pub mod storm;
pub mod throttle;
pub mod verdict;
pub mod world;

pub use edits::{Editor, Ledger, Pace};
pub use judge::{Evidence, Target, judge};
pub use replicas::{Replicas, Successor};
pub use verdict::Verdict;
pub use world::{Run, World};
