//! What a failed request to Cassandra means.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

/// What to do about a failed write. Writes are idempotent (I3), so repeating one is always safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again, without end: an outage passes.
    Retry,
    /// Something in this very write is at fault, and will be whenever it is repeated.
    Poison,
    /// Give up: no write can work until somebody changes the set-up.
    Fatal,
}

/// Decides what a failed write to Cassandra means. Only its words that the request itself is
/// invalid make a poison (I5); whatever is unknown counts as an outage, which loses nothing.
#[expect(clippy::match_same_arms, reason = "known errors are decided by name, the enum is open")]
pub fn write_disposition(error: &ExecutionError) -> Disposition {
    match error {
        ExecutionError::BadQuery(_) => Disposition::Poison,
        ExecutionError::LastAttemptError(error) => attempt_disposition(error),
        ExecutionError::UseKeyspaceError(_) => Disposition::Fatal,
        ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::RequestTimeout(_)
        | ExecutionError::SchemaAgreementError(_)
        | ExecutionError::MetadataError(_) => Disposition::Retry,
        _ => Disposition::Retry,
    }
}

#[expect(clippy::match_same_arms, reason = "known errors are decided by name, the enum is open")]
fn attempt_disposition(error: &RequestAttemptError) -> Disposition {
    match error {
        RequestAttemptError::DbError(error, message) => db_disposition(error, message),
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_) => Disposition::Poison,
        RequestAttemptError::UnableToAllocStreamId
        | RequestAttemptError::BrokenConnectionError(_)
        | RequestAttemptError::BodyExtensionsParseError(_)
        | RequestAttemptError::CqlResultParseError(_)
        | RequestAttemptError::CqlErrorParseError(_)
        | RequestAttemptError::UnexpectedResponse(_)
        | RequestAttemptError::RepreparedIdChanged { .. }
        | RequestAttemptError::RepreparedIdMissingInBatch
        | RequestAttemptError::NonfinishedPagingState => Disposition::Retry,
        _ => Disposition::Retry,
    }
}

#[expect(clippy::match_same_arms, reason = "known errors are decided by name, the enum is open")]
fn db_disposition(error: &DbError, message: &str) -> Disposition {
    match error {
        // The guardrail against full disks refuses every write, until there is space again.
        DbError::Invalid if message.contains("disk usage") => Disposition::Retry,
        DbError::Invalid => Disposition::Poison,
        DbError::SyntaxError
        | DbError::AuthenticationError
        | DbError::Unauthorized
        | DbError::ConfigError
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. } => Disposition::Fatal,
        DbError::Unavailable { .. }
        | DbError::Overloaded
        | DbError::IsBootstrapping
        | DbError::TruncateError
        | DbError::ReadTimeout { .. }
        | DbError::WriteTimeout { .. }
        | DbError::ReadFailure { .. }
        | DbError::WriteFailure { .. }
        | DbError::Unprepared { .. }
        | DbError::ServerError
        | DbError::ProtocolError
        | DbError::RateLimitReached { .. }
        | DbError::Other(_) => Disposition::Retry,
        _ => Disposition::Retry,
    }
}

/// Tells whether the session is of no more use.
pub fn needs_new_session(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::EmptyPlan
            | ExecutionError::ConnectionPoolError(_)
            | ExecutionError::LastAttemptError(
                RequestAttemptError::RepreparedIdChanged { .. }
                    | RequestAttemptError::RepreparedIdMissingInBatch
            )
    )
}

/// Tells whether preparing failed because keyspace or table is not there yet, or nobody answers.
pub fn is_worth_waiting(error: &PrepareError) -> bool {
    match error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(error, message),
        } => match error {
            // Cassandra's words for a missing table and a missing keyspace.
            DbError::Invalid => {
                message.contains("does not exist") || message.contains("unconfigured table")
            }
            other => db_disposition(other, message) == Disposition::Retry,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db(error: DbError, message: &str) -> Disposition {
        let attempt = RequestAttemptError::DbError(error, message.to_owned());
        write_disposition(&ExecutionError::LastAttemptError(attempt))
    }

    /// I5: an outage never makes a dead letter.
    #[test]
    fn an_outage_is_waited_out() {
        for error in [
            DbError::Overloaded,
            DbError::IsBootstrapping,
            DbError::ServerError,
            DbError::TruncateError,
            DbError::Other(0x7777),
        ] {
            assert_eq!(db(error.clone(), ""), Disposition::Retry, "{error}");
        }
        let full = "Guardrail violated: disk usage exceeds failure threshold";
        assert_eq!(db(DbError::Invalid, full), Disposition::Retry);
        for error in [
            ExecutionError::EmptyPlan,
            ExecutionError::RequestTimeout(std::time::Duration::from_secs(1)),
        ] {
            assert_eq!(write_disposition(&error), Disposition::Retry, "{error}");
            assert_eq!(needs_new_session(&error), matches!(error, ExecutionError::EmptyPlan));
        }
    }

    #[test]
    fn what_is_invalid_is_poison_and_what_is_forbidden_is_fatal() {
        assert_eq!(
            db(DbError::Invalid, "Guardrail maximum_timestamp violated"),
            Disposition::Poison
        );
        for error in [DbError::Unauthorized, DbError::SyntaxError, DbError::AuthenticationError] {
            assert_eq!(db(error.clone(), ""), Disposition::Fatal, "{error}");
        }
    }
}
