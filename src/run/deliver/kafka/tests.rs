use super::*;

/// An answer with its length and the number of its question.
fn answer(correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut answer = ((body.len() + 4) as i32).to_be_bytes().to_vec();
    answer.extend(correlation.to_be_bytes());
    answer.extend(body);
    answer
}

fn versions(least: i16, most: i16) -> Vec<u8> {
    let numbers = [0, 0, 1, wire::PRODUCE, least, most]; // no error, and a list of one
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// One broker, and a topic with partitions of these numbers.
fn topic(name: &str, error: i16, partitions: &[i32]) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    body.extend(7_i32.to_be_bytes());
    wire::put_text(&mut body, "broker");
    body.extend(9_092_i32.to_be_bytes());
    body.extend((-1_i16).to_be_bytes()); // no rack
    body.extend([7_i32, 1].iter().flat_map(|number| number.to_be_bytes()));
    body.extend(error.to_be_bytes());
    wire::put_text(&mut body, name);
    body.push(0);
    body.extend((partitions.len() as i32).to_be_bytes());
    for partition in partitions {
        body.extend(0_i16.to_be_bytes());
        body.extend([*partition, 7, 1, 7, 0].iter().flat_map(|number| number.to_be_bytes()));
    }
    body
}

fn produced(error: i16) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    wire::put_text(&mut body, "alerts");
    body.extend([1_i32, 0].iter().flat_map(|number| number.to_be_bytes()));
    body.extend(error.to_be_bytes());
    body.extend([0; 24]);
    body.extend([0; 4]); // throttle
    body
}

fn opened(partitions: &[i32]) -> Kafka {
    let mut out = Vec::new();
    let mut kafka = Kafka::open("alerts", &Login::None, &mut out);
    assert!(!kafka.has_room(), "not before the broker says where the topic is");
    kafka.handle(&answer(1, &versions(0, 12)), &mut out).unwrap();
    kafka.handle(&answer(2, &topic("alerts", 0, partitions)), &mut out).unwrap();
    assert!(kafka.is_open() && kafka.is_idle() && kafka.has_room());
    kafka
}

/// With three messages on their way.
fn sent(partitions: &[i32]) -> (Kafka, Vec<u8>) {
    let (mut kafka, mut out) = (opened(partitions), Vec::new());
    for record in [70, 71, 72] {
        kafka.send(record, "ab-0", b"{}", &mut out);
    }
    kafka.push(1_000, &mut out);
    (kafka, out)
}

/// The partition that a request produces to, and how many records.
fn of_request(out: &[u8]) -> (i32, i32) {
    let number = |at: usize| i32::from_be_bytes(out[at..at + 4].try_into().unwrap());
    // Head 4 + 8 + 2 + 10, transaction 2, acks 2, timeout 4, topics 4, name 2 + 6, partitions 4; then size, and the batch's count at 57.
    let at = 24 + 2 + 2 + 4 + 4 + 8 + 4;
    (number(at), number(at + 8 + 57))
}

#[test]
fn what_the_broker_keeps_has_arrived_however_its_answers_are_cut() {
    let answers = answer(3, &produced(0));
    for cut in 0..answers.len() {
        let (mut kafka, out) = sent(&[4, 2]);
        assert_eq!((of_request(&out), kafka.confirmed()), ((2, 3), None));
        let (one, other) = answers.split_at(cut);
        kafka.handle(one, &mut Vec::new()).unwrap();
        assert!(!kafka.is_idle());
        kafka.handle(other, &mut Vec::new()).unwrap();
        assert_eq!((kafka.confirmed(), kafka.is_idle()), (Some(73), true));
    }
}

#[test]
fn one_batch_is_on_its_way_and_the_next_waits() {
    let (mut kafka, mut out) = sent(&[0]);
    out.clear();
    kafka.send(73, "ab-1", b"{}", &mut out);
    kafka.push(1_001, &mut out);
    assert!(out.is_empty());
    kafka.handle(&answer(3, &produced(0)), &mut out).unwrap();
    kafka.push(1_002, &mut out);
    assert_eq!((of_request(&out), kafka.confirmed()), ((0, 1), Some(73)));
}

#[test]
fn another_partition_is_tried_where_the_broker_does_not_lead_one() {
    let (mut kafka, mut out) = sent(&[1, 5]);
    out.clear();
    kafka.handle(&answer(3, &produced(NOT_LEADER)), &mut out).unwrap();
    assert_eq!(of_request(&out), (5, 3));
    let none = kafka.handle(&answer(4, &produced(NOT_LEADER)), &mut out);
    assert_eq!((none, kafka.confirmed()), (Err(KafkaError::NoPartition("alerts".to_owned())), None));
}

#[test]
fn what_is_not_taken_is_sent_in_pieces_and_alone_it_is_given_up() {
    let (mut kafka, mut out) = sent(&[0]);
    let mut confirmed = Vec::new();
    // Three, then one, which is too large; then the other two, of which the first is.
    for (correlation, error) in [(3, 10), (4, 10), (5, 10), (6, 0)] {
        out.clear();
        kafka.handle(&answer(correlation, &produced(error)), &mut out).unwrap();
        kafka.push(2_000, &mut out);
        confirmed.push((kafka.confirmed(), if out.is_empty() { 0 } else { of_request(&out).1 }));
    }
    assert_eq!(confirmed, [(None, 1), (Some(71), 1), (Some(72), 1), (Some(73), 0)]);
    assert_eq!(kafka.together, 2, "more again where one was taken");
    assert_eq!((kafka.take_refused(), kafka.take_refused()), (2, 0));
}

#[test]
fn who_logs_in_does_so_before_anything_else() {
    let mut out = Vec::new();
    let mut kafka = Kafka::open("alerts", &Login::parse("me:secret\n"), &mut out);
    kafka.handle(&answer(1, &versions(3, 9)), &mut out).unwrap();
    assert!(out.ends_with(b"\0\x05PLAIN") && !out.windows(6).any(|bytes| bytes == b"secret"));
    kafka.handle(&answer(2, &[0, 0, 0, 0, 0, 0]), &mut out).unwrap();
    assert!(out.ends_with(b"\0me\0secret"));
    assert_eq!(kafka.handle(&answer(3, &[0, 58, 0xff, 0xff]), &mut out), Err(KafkaError::Login(58)));
}

#[test]
fn what_cannot_be_is_told() {
    let begun = || Kafka::open("alerts", &Login::None, &mut Vec::new());
    let handle = |kafka: &mut Kafka, bytes: &[u8]| kafka.handle(bytes, &mut Vec::new());
    assert_eq!(handle(&mut begun(), b"HTTP/1.1 400 Bad Request\r\n"), Err(KafkaError::Garbage));
    assert_eq!(handle(&mut begun(), &answer(9, &versions(3, 9))), Err(KafkaError::Garbage), "an answer to nothing");
    assert_eq!(handle(&mut begun(), &answer(1, &versions(0, 2))), Err(KafkaError::Versions));
    assert_eq!(handle(&mut begun(), &answer(1, &versions(9, 12))), Err(KafkaError::Versions));
    for (name, error, partitions, told) in [("alerts", 3, &[][..], 3), ("other", 0, &[0], 3), ("alerts", 0, &[], 0)] {
        let mut kafka = begun();
        handle(&mut kafka, &answer(1, &versions(3, 8))).unwrap();
        let problem = handle(&mut kafka, &answer(2, &topic(name, error, partitions)));
        assert_eq!(problem, Err(KafkaError::Topic("alerts".to_owned(), told)));
    }
    assert_eq!(handle(&mut sent(&[0]).0, &answer(3, &produced(7))), Err(KafkaError::NotKept(7)));
    assert_eq!(handle(&mut opened(&[0]), &answer(3, &produced(0))), Err(KafkaError::Garbage), "nothing was sent");
}
