"""Prints key, delivery key and value of each message of a topic, a line each, as librdkafka reads them, checksums too. Ends with 77 where there is no
client (`pip install confluent-kafka`)."""
import json
import sys

try:
    from confluent_kafka import Consumer, TopicPartition
except ImportError:
    print("no confluent-kafka")
    sys.exit(77)

server, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": server, "group.id": "test", "check.crcs": True, "enable.auto.commit": False})
partitions = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=20).topics[topic].partitions]
left = 0
for partition in partitions:
    first, behind = consumer.get_watermark_offsets(partition, timeout=20)
    left += behind - first
consumer.assign(partitions)
while left:
    message = consumer.poll(20)
    assert message is not None and not message.error(), message and message.error()
    headers = dict(message.headers())
    print(json.dumps([message.partition(), message.key().decode(), headers["delivery_key"].decode(), json.loads(message.value())]))
    left -= 1
consumer.close()
