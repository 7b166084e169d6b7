//! The gate for sources without a fallback: they go live when a MirrorCoverage proves their mirrors (`--require-proof=enforce`).
//!
//! What is live stays as it is. `requirement` says whether the gate is closed, `subject` what a proof is for, `proofs` what is
//! proven, `control_plane` and `nodes` keep what is live in place of what is not proven, and `held` reports it.

pub mod control_plane;
pub mod held;
pub mod nodes;
pub mod proofs;
pub mod requirement;
pub mod subject;
