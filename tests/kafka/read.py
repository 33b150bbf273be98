"""Prints key, delivery key and value of each message of a topic, a line each, as librdkafka reads them, checksums too. Ends with 77 where there is no
client (`pip install confluent-kafka`)."""
import json
import sys

try:
    from confluent_kafka import Consumer, KafkaError, TopicPartition
except ImportError:
    print("no confluent-kafka")
    sys.exit(77)

server, topic = sys.argv[1:]
options = {"check.crcs": True, "enable.auto.commit": False, "enable.partition.eof": True}
consumer = Consumer({"bootstrap.servers": server, "group.id": "test", **options})
partitions = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions]
consumer.assign(partitions)
left = {partition.partition for partition in partitions}
while left:
    message = consumer.poll(60)
    assert message is not None, "a partition has no end"
    if message.error():
        # Offsets may have gaps where the broker was killed: what counts is the end.
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        left.discard(message.partition())
        continue
    headers = dict(message.headers())
    print(json.dumps([message.partition(), message.key().decode(), headers["delivery_key"].decode(), json.loads(message.value())]))
consumer.close()
