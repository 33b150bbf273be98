//! Flows: which packets belong together, and which fragments of one; which end is which, what order their bytes have.

mod beats;
mod fragments;
mod half;
mod index;
mod key;
mod opening;
mod prefetch;
mod reaction;
mod share;
mod side;
mod slim;
mod slots;
mod stack;
mod stream;
mod table;

pub use beats::Beats;
pub use fragments::{FragmentKey, FragmentLimits, FragmentTable, Joined, Reassembled};
pub use half::{Arrival, Half, Traffic};
pub use key::{End, Endpoint, FlowKey, SessionId, TransportKind};
pub use opening::{Envelope, Kept, Looks, Opening};
pub(crate) use prefetch::prefetch;
pub use reaction::{Reaction, Reactions};
pub use share::{SHARDS, Shard, Share, per_shard};
pub use side::{Evidence, PerSide, Side};
pub use slim::Slim;
pub use stack::StackMarks;
pub use stream::{Data, Item, Stream};
pub use table::{Attached, Flow, FlowId, FlowTable, KeyHash, Life, Limits};
