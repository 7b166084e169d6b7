//! Turns an answer that refuses into a cause: for the registry itself, its token server, and where it redirects to.

use jiff::Timestamp;

use super::error::{Cause, Party, Refusal};
use super::quirks::Quirks;
use super::transport::Answer;
use super::wire::error_body::{ErrorBody, MAX_ERROR_BYTES};
use super::wire::retry_after;

/// The cause that an answer is. Reads the beginning of its body.
pub(super) async fn refusal(answer: Answer, by: Party, quirks: Option<Quirks>) -> Cause {
    let status = answer.status.as_u16();
    let retry_after = answer.header("retry-after").and_then(|value| retry_after::parse(value, Timestamp::now()));
    let body = ErrorBody::parse(&answer.beginning(MAX_ERROR_BYTES).await);
    let hint = quirks.and_then(|quirks| quirks.hint(status, body.code.as_deref()));
    Cause::Refused(Refusal { by, status, code: body.code, message: body.message, hint, retry_after })
}
