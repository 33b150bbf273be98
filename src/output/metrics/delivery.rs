//! What becomes of alerts behind the sensor: the spool and its destinations.

use super::Page;

/// The spool, and each destination that alerts are delivered to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Alerts that wait for the disk.
    pub queued: u64,
    /// Alerts that were put on disk.
    pub accepted: u64,
    /// Alerts that were dropped before each destination had them, since the spool was made: why, and how many.
    pub lost: Vec<(&'static str, u64)>,
    /// Bytes of the spool.
    pub bytes: u64,
    /// Bytes that it may have.
    pub bytes_max: u64,
    /// Each destination.
    pub destinations: Vec<Destination>,
}

/// How one destination stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// As it was typed.
    pub name: String,
    /// Whether there is a connection, or none is needed.
    pub is_connected: bool,
    /// Connections that were made.
    pub connections: u64,
    /// Alerts on disk that it may not have.
    pub waiting: u64,
    /// Messages sent, again or for the first time.
    pub sent: u64,
    /// Of these, again.
    pub sent_again: u64,
    /// Alerts that count as arrived.
    pub arrived: u64,
    /// Alerts that were gone before they could be sent.
    pub lost: u64,
}

/// Adds all of it to a page.
pub(super) fn write(delivery: &Delivery, page: &mut Page<'_>) {
    let Delivery { queued, accepted, bytes, bytes_max, .. } = *delivery;
    let fill = if bytes_max == 0 { 0.0 } else { bytes as f64 / bytes_max as f64 };
    let mut one = |name, kind, help, value| page.family(name, kind, help, [(&[][..], value)]);
    one("spool_queued", "gauge", "Alerts that wait for the disk.", queued as f64);
    one("spool_accepted_total", "counter", "Alerts that were put on disk.", accepted as f64);
    one("spool_bytes", "gauge", "Bytes of the spool.", bytes as f64);
    one("spool_max_bytes", "gauge", "Bytes that the spool may have.", bytes_max as f64);
    one("spool_fill_ratio", "gauge", "The spool's bytes by those that it may have, 0 to 1 and a segment.", fill);
    let lost = "Alerts dropped before each destination had them, since the spool was made, by reason.";
    page.by("spool_lost_total", lost, "reason", &delivery.lost);
    let mut per = |name, kind, help, value: fn(&Destination) -> u64| {
        let labels: Vec<_> = delivery.destinations.iter().map(|one| [("destination", one.name.as_str())]).collect();
        page.family(
            name,
            kind,
            help,
            labels.iter().zip(&delivery.destinations).map(|(label, one)| (&label[..], value(one) as f64)),
        );
    };
    per("delivery_connected", "gauge", "1 while there is a connection, or none is needed.", |one| u64::from(one.is_connected));
    per("delivery_connections_total", "counter", "Connections that were made.", |one| one.connections);
    per("delivery_waiting", "gauge", "Alerts on disk that the destination may not have.", |one| one.waiting);
    per("delivery_sent_total", "counter", "Messages sent, again or for the first time.", |one| one.sent);
    per("delivery_sent_again_total", "counter", "Messages sent again after a connection broke.", |one| one.sent_again);
    per(
        "delivery_arrived_total",
        "counter",
        "Alerts that count as arrived; of UDP and local sockets, all that were sent.",
        |one| one.arrived,
    );
    per("delivery_lost_total", "counter", "Alerts that were gone, or too long, before they could be sent.", |one| one.lost);
}
