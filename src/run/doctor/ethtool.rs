//! What a driver says of itself, over the kernel's ethtool netlink family (Linux 5.6 and later). No privilege is needed, and
//! no `ethtool`.

use std::io;

use ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolCoalesceAttr, EthtoolFeatureAttr, EthtoolFeatureBit, EthtoolMessage, EthtoolRingAttr,
    EthtoolTsInfoAttr,
};
use netlink_packet_core::{Emitable, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, ParseableParametrized};
use netlink_packet_generic::{
    GenlFamily, GenlHeader, GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::facts::{Coalescing, Fact, Feature, Queues, Ring};

/// `GENL_ID_CTRL` of <linux/genetlink.h>.
const CONTROLLER: u16 = 16;

/// An open line to the kernel.
pub(super) struct Ethtool {
    socket: Socket,
    family: u16,
}

impl Ethtool {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let nlas = vec![GenlCtrlAttrs::FamilyName("ethtool".to_owned())];
        let controller = ask(&socket, CONTROLLER, GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas })?;
        let family = controller.nlas.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(family) => Some(*family),
            _ => None,
        });
        Ok(Self { socket, family: family.ok_or_else(|| io::Error::other("the kernel has no ethtool netlink"))? })
    }

    /// All offloads.
    pub(super) fn features(&self, interface: &str) -> Fact<Vec<Feature>> {
        let attributes = self.ask(EthtoolMessage::new_feature_get(Some(interface)))?;
        let (mut free, mut on): (Vec<EthtoolFeatureBit>, Vec<EthtoolFeatureBit>) = (Vec::new(), Vec::new());
        for attribute in attributes {
            match attribute {
                EthtoolAttr::Feature(EthtoolFeatureAttr::Hw(bits)) => free = bits,
                EthtoolAttr::Feature(EthtoolFeatureAttr::Active(bits)) => on = bits,
                _ => {}
            }
        }
        // The first list has all of them, the second those that are on.
        let is_on = |name: &str| on.iter().any(|bit| bit.name == name);
        Ok(free.into_iter().map(|bit| Feature { is_on: is_on(&bit.name), name: bit.name, is_free: bit.value }).collect())
    }

    pub(super) fn ring(&self, interface: &str) -> Fact<Ring> {
        let (mut frames, mut most) = (None, None);
        for attribute in self.ask(EthtoolMessage::new_ring_get(Some(interface)))? {
            match attribute {
                EthtoolAttr::Ring(EthtoolRingAttr::Rx(count)) => frames = Some(count),
                EthtoolAttr::Ring(EthtoolRingAttr::RxMax(count)) => most = Some(count),
                _ => {}
            }
        }
        frames.zip(most).map(|(frames, most)| Ring { frames, most }).ok_or_else(|| "the driver does not tell".to_owned())
    }

    pub(super) fn coalescing(&self, interface: &str) -> Fact<Coalescing> {
        let (mut usecs, mut is_adaptive) = (None, false);
        for attribute in self.ask(EthtoolMessage::new_coalesce_get(Some(interface)))? {
            match attribute {
                EthtoolAttr::Coalesce(EthtoolCoalesceAttr::RxUsecs(count)) => usecs = Some(count),
                EthtoolAttr::Coalesce(EthtoolCoalesceAttr::UseAdaptiveRx(on)) => is_adaptive = on,
                _ => {}
            }
        }
        usecs.map(|usecs| Coalescing { usecs, is_adaptive }).ok_or_else(|| "the driver does not tell".to_owned())
    }

    /// Number of the hardware's clock. The `ethtool` crate 0.3 gives no more of what the kernel says here: it leaves bit sets
    /// without a mask empty.
    pub(super) fn clock(&self, interface: &str) -> Fact<Option<u32>> {
        let attributes = self.ask(EthtoolMessage::new_tsinfo_get(Some(interface)))?;
        Ok(attributes.into_iter().find_map(|attribute| match attribute {
            EthtoolAttr::TsInfo(EthtoolTsInfoAttr::PhcIndex(index)) => Some(index),
            _ => None,
        }))
    }

    /// Queues that frames come in by; none where the driver does not tell.
    pub(super) fn queues(&self, interface: &str) -> Option<Queues> {
        let mut queues = Queues::default();
        for attribute in self.ask(EthtoolMessage::new_channel_get(Some(interface))).ok()? {
            match attribute {
                EthtoolAttr::Channel(EthtoolChannelAttr::RxCount(count)) => queues.rx = count.into(),
                EthtoolAttr::Channel(EthtoolChannelAttr::CombinedCount(count)) => queues.combined = count.into(),
                _ => {}
            }
        }
        (queues.rx + queues.combined > 0).then_some(queues)
    }

    fn ask(&self, question: EthtoolMessage) -> Fact<Vec<EthtoolAttr>> {
        match ask(&self.socket, self.family, question) {
            Ok(answer) => Ok(answer.nlas),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Err("the driver does not tell".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A question and its answer.
fn ask<T>(socket: &Socket, family: u16, question: T) -> io::Result<T>
where
    T: GenlFamily + Emitable + ParseableParametrized<[u8], GenlHeader> + Clone + std::fmt::Debug + Eq,
{
    let mut message = GenlMessage::from_payload(question);
    message.set_resolved_family_id(family);
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (bytes, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<GenlMessage<T>>::deserialize(&bytes).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message.payload),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::other("an answer that is none")),
    }
}
