//! Commands whose answer may be "unknown": their exit codes, and the flag that prints the schema of the answer.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use schemars::{JsonSchema, schema_for};

use super::Usage;
use super::console::{self, DataFormat};

/// Exit code: something is not known, and nothing is known to be wrong.
pub const UNKNOWN: u8 = 3;

/// The flag `--schema`.
#[derive(Args, Clone, Copy, Debug)]
pub struct SchemaArg {
    /// Print the JSON schema of the output
    #[arg(long, help_heading = "Options")]
    schema: bool,
}

impl SchemaArg {
    /// Prints the schema, if that is what was asked for.
    pub fn print<T: JsonSchema>(self) -> Result<bool> {
        if self.schema {
            console::print_data(&schema_for!(T), DataFormat::Json)?;
        }
        Ok(self.schema)
    }
}

/// A command that failed has no answer: 1 would say that something is missing. Bad usage stays bad usage.
pub fn or_unknown(result: Result<ExitCode>) -> Result<ExitCode> {
    match result {
        Err(error) if !error.is::<Usage>() => {
            console::error(console::causes(&error));
            Ok(ExitCode::from(UNKNOWN))
        }
        result => result,
    }
}
