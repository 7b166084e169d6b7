//! Coverage: do the registries from which images are pulled hold what is needed?
//!
//! `matrix` is pure: needs, who pulls them and from where, and what is known about each place; it says what has to be asked
//! next and what follows. `payload` reads what a release needs out of its image. `check` asks one place. Who pulls what from
//! where is the answer of `crate::mirrors`, and comes in as a value.

pub mod check;
pub mod matrix;
pub mod payload;
pub mod release;
