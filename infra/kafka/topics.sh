#!/usr/bin/env bash
# Creates the topics of the pipeline. Safe to run again: a topic that exists is left as it is. The topic of the
# readings must have as many partitions as are asked for, or their keys would lead elsewhere; of the others any
# number will do, also after the readings' has grown.
#
# Every partition is bounded by bytes as well as by time. Size-based retention drops whole segments, so the
# most a partition holds is retention.bytes plus one segment:
#
#   sensor-readings       12 x (160 + 32) MiB  2304 MiB
#   sensor-events          3 x ( 32 + 16) MiB   144 MiB
#   sensor-alerts          1 x ( 64 + 16) MiB    80 MiB
#   sensor-aggregates      3 x ( 64 + 16) MiB   240 MiB
#   sensor-readings-dlq   12 x ( 16 + 16) MiB   384 MiB
#   sensor-readings-late   3 x ( 16 + 16) MiB    96 MiB
#                                              3248 MiB
#
# A dead letter is as large as any record and its headers: hence its own limit, and segments above it.
set -euo pipefail

server=${KAFKA_BOOTSTRAP_SERVERS:?address of the broker, for instance kafka:9092}
replication=${KAFKA_REPLICATION_FACTOR:-1}
readings=${KAFKA_TOPIC_NAME:-sensor-readings}
events=${KAFKA_EVENTS_TOPIC_NAME:-sensor-events}
dead_letters=${KAFKA_DLQ_TOPIC_NAME:-sensor-readings-dlq}
aggregates=${KAFKA_AGGREGATES_TOPIC_NAME:-sensor-aggregates}
alerts=${KAFKA_ALERTS_TOPIC_NAME:-sensor-alerts}
late=${KAFKA_LATE_TOPIC_NAME:-sensor-readings-late}
readings_partitions=${KAFKA_NUM_PARTITIONS:-${KAFKA_PARTITIONS:-12}}
bin=/opt/kafka/bin
mib=$((1024 * 1024))
day_ms=$((24 * 60 * 60 * 1000))

topics() { "$bin/kafka-topics.sh" --bootstrap-server "$server" "$@"; }

# One line a topic: "name partitions". One call for all topics, since every call starts a JVM.
existing=$(topics --describe --exclude-internal |
  sed -n 's/^Topic: *\([^[:space:]]*\).*PartitionCount: *\([0-9]*\).*/\1 \2/p')

ensure() { # NAME PARTITIONS RETENTION_DAYS RETENTION_MIB SEGMENT_MIB [RECORD_BYTES_MAX]
  local name=$1 partitions=$2 found
  found=$(awk -v name="$name" '$1 == name { print $2 }' <<<"$existing")
  if [ -z "$found" ]; then
    topics --create --topic "$name" --partitions "$partitions" --replication-factor "$replication" \
      --config "retention.ms=$(($3 * day_ms))" \
      --config "retention.bytes=$(($4 * mib))" \
      --config "segment.bytes=$(($5 * mib))" \
      ${6:+--config "max.message.bytes=$6"}
  elif [ "$name" = "$readings" ] && [ "$found" -ne "$partitions" ]; then
    echo "topic $name has $found partitions, but KAFKA_NUM_PARTITIONS asks for $partitions:" \
      "set it to $found" >&2
    return 1
  else
    echo "topic $name is there (partitions: $found)"
  fi
}

#      name                  partitions            days  MiB  MiB a segment  bytes a record
ensure "$readings"           "$readings_partitions"   7  160  32
ensure "$events"             3                       30   32  16
ensure "$alerts"             1                       90   64  16
ensure "$aggregates"         3                        7   64  16
ensure "$late"               3                       14   16  16
ensure "$dead_letters"       "$readings_partitions"  14   16  16             10485760
