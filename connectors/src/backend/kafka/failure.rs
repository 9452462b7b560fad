//! What Kafka's errors mean to the port: whether somebody else owns the partition, whether something may have been written.

use super::super::Error;
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

/// Nothing was written: what could not be done, and Kafka's words for it.
pub(super) fn cannot(what: &str, error: &KafkaError) -> Error {
    let text = format!("cannot {what}: {}", words(error));
    if is_passing(error) { Error::Away(text) } else { Error::Failed(text) }
}

/// Kafka's words, without the wrapping.
pub(super) fn words(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => format!("{} ({})", error.string(), error.name()),
        error => error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string()),
    }
}

/// Somebody with the same transactional id has begun after us, or the broker has given us up.
pub(super) fn is_fenced(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::InvalidProducerIdMapping)
    )
}

/// The broker has said no before it wrote, or it never left this process.
pub(super) fn is_not_written(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::QueueFull
                | Code::MessageSizeTooLarge
                | Code::MessageBatchTooLarge
                | Code::InvalidMessageSize
                | Code::NotEnoughReplicas
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::PolicyViolation
                | Code::InvalidRecord
                | Code::PurgeQueue
        )
    )
}

/// A consumer was told to read where nothing is.
pub(super) fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(code(error), Some(Code::OffsetOutOfRange | Code::AutoOffsetReset))
}

/// Told in passing: the client goes on by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::MessageTimedOut
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::NetworkException
                | Code::UnknownLeaderEpoch
                | Code::FencedLeaderEpoch
        )
    )
}

fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        error => error.rdkafka_error_code(),
    }
}
