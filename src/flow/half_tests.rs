use super::*;

const PAYLOAD: [u8; 100] = [0; 100];

fn segment(seq: u32, len: u32, flags: u8) -> TcpSegment<'static> {
    TcpSegment {
        src_port: 1,
        dst_port: 2,
        seq: SeqNumber(seq),
        ack: SeqNumber(1),
        flags: TcpFlags(flags | TcpFlags::ACK),
        window: 100,
        options: &[],
        payload: &PAYLOAD[..len as usize],
        payload_len: len,
    }
}

/// Feeds (sequence number, length, IP identification, milliseconds) and returns the arrivals.
fn arrivals(feed: &[(u32, u32, u16, i64)]) -> (Vec<Arrival>, Half) {
    let mut half = Half::default();
    let seen = feed
        .iter()
        .map(|&(seq, len, id, ms)| half.observe(&segment(seq, len, 0), id, Timestamp::from_nanos(ms * 1_000_000), 54 + len))
        .collect();
    (seen, half)
}

#[test]
fn a_stream_in_order_is_new_all_the_way() {
    let (seen, half) = arrivals(&[(10, 5, 1, 0), (15, 5, 2, 1), (20, 0, 3, 2)]);
    assert_eq!(seen, [Arrival::New, Arrival::New, Arrival::Bare]);
    assert_eq!((half.traffic.packets, half.traffic.payload_bytes, half.traffic.bytes), (3, 10, 54 * 3 + 10));
}

#[test]
fn a_copy_from_a_second_mirror_port_counts_apart() {
    let (seen, half) = arrivals(&[(10, 5, 7, 0), (10, 5, 7, 0), (15, 5, 8, 30)]);
    assert_eq!(seen, [Arrival::New, Arrival::Duplicate, Arrival::New]);
    assert_eq!((half.traffic.packets, half.traffic.duplicated, half.traffic.retransmitted), (2, 1, 0));
}

#[test]
fn copies_that_arrive_in_a_clump_count_apart_too() {
    let (seen, half) = arrivals(&[(10, 5, 7, 0), (15, 5, 8, 0), (10, 5, 7, 1), (15, 5, 8, 1), (20, 5, 9, 2)]);
    assert_eq!(seen, [Arrival::New, Arrival::New, Arrival::Duplicate, Arrival::Duplicate, Arrival::New]);
    assert_eq!((half.traffic.packets, half.traffic.duplicated, half.traffic.retransmitted), (3, 2, 0));
}

#[test]
fn a_retransmission_has_a_new_ip_identification() {
    let (seen, half) = arrivals(&[(10, 5, 7, 0), (10, 5, 8, 90)]);
    assert_eq!(seen, [Arrival::New, Arrival::Retransmitted]);
    assert_eq!(half.traffic.retransmitted, 1);
}

#[test]
fn a_hole_filled_by_an_earlier_packet_is_reordering() {
    let (seen, _) = arrivals(&[(10, 5, 7, 0), (20, 5, 9, 10), (15, 5, 8, 40)]);
    assert_eq!(seen, [Arrival::New, Arrival::New, Arrival::OutOfOrder]);
}

#[test]
fn a_hole_filled_by_a_later_packet_is_a_retransmission() {
    let (seen, _) = arrivals(&[(10, 5, 7, 0), (20, 5, 8, 10), (15, 5, 9, 11)]);
    assert_eq!(seen, [Arrival::New, Arrival::New, Arrival::Retransmitted]);
}

#[test]
fn without_identifications_the_time_decides() {
    let (seen, _) = arrivals(&[(10, 5, 0, 0), (20, 5, 0, 10), (15, 5, 0, 12), (30, 5, 0, 20), (25, 5, 0, 60)]);
    assert_eq!(seen[2], Arrival::OutOfOrder);
    assert_eq!(seen[4], Arrival::Retransmitted);
}

#[test]
fn a_keep_alive_is_a_probe_and_no_data() {
    let (seen, half) = arrivals(&[(10, 5, 1, 0), (14, 0, 2, 7000), (14, 1, 3, 9000)]);
    assert_eq!(seen, [Arrival::New, Arrival::Probe, Arrival::Probe]);
    assert_eq!(half.next, Some(SeqNumber(15)));
}

#[test]
fn sequence_numbers_wrap() {
    let (seen, half) = arrivals(&[(u32::MAX - 4, 5, 1, 0), (0, 5, 2, 1), (u32::MAX - 4, 5, 3, 200)]);
    assert_eq!(seen, [Arrival::New, Arrival::New, Arrival::Retransmitted]);
    assert_eq!(half.next, Some(SeqNumber(5)));
}
