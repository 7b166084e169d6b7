//! The pages: from the objects of the input to markup. Pure.

pub mod cluster;
pub mod coverage;
pub mod explain;
pub mod failure;
pub mod findings;
pub mod fleet;
pub mod plane;

use jiff::Timestamp;

use super::links::Links;

/// What every page needs.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Where other pages are.
    pub links: Links,
    /// The time that ages count to.
    pub now: Timestamp,
}
