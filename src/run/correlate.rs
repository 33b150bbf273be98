//! `keywitness correlate`: the second stage alone, over the observations of all shards of an analysis.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    time::Instant,
};

use tracing::error;

use super::{
    Failure,
    archive::Archive,
    deliver::Setup,
    observations::{Analysis, EndLine, Line, SCHEMA, ShardLine},
    offline::{Ending, conclude, log_inputs},
    writer::{Look, Writer},
};
use crate::{
    config::{ConfigError, CorrelateConfig},
    correlator::Correlator,
    event::InputSummary,
    observation::{Counters, Observation, ObservationKey},
    output::{Context, TimestampSource, escape},
};

/// Longest line that is read, in bytes: a session's has some thousands.
const LONGEST_LINE: u64 = 4 << 20;

/// Runs it.
///
/// # Errors
/// Where inputs cannot be opened, are no observations, or are of different analyses; and those of writing to `out`.
pub(super) fn correlate(
    config: CorrelateConfig,
    archive: Option<Archive>,
    alerts: Option<Setup>,
    out: &mut impl Write,
) -> Result<super::ExitStatus, Failure> {
    let started = Instant::now();
    let mut reader = Reader::open(&config.inputs)?;
    let Some(analysis) = reader.analysis.clone() else {
        return Err(Failure::Input("correlate: these are no observations that `analyze --emit observations` wrote".to_owned()));
    };
    if config.keystrokes.is_some() && !analysis.keystrokes {
        let message = "--keystrokes: the observations have none; give it to `analyze --emit observations` too";
        return Err(ConfigError::Usage(message.to_owned()).into());
    }
    let look = Look { format: config.format, color: config.color, keystrokes: config.keystrokes, live: false };
    let sensor = config.claims.as_ref().and_then(|claims| claims.sensor.name.clone());
    let context = Context { sensor, inputs: analysis.inputs, timestamps: TimestampSource::File };
    let alerting = alerts.map(|alerts| alerts.start(true, context.clone())).transpose()?;
    let mut writer = Writer::new(look, context.clone(), None, out).alerting(alerting).archiving(archive, context);
    let mut correlator = Correlator::new(config.claims).learning(config.learning).cooling_down(config.cool_down);
    while let Some(observation) = reader.next() {
        writer.observe(observation, &mut correlator)?;
    }
    let (counters, inputs) = reader.counted();
    log_inputs(&inputs);
    let ending = Ending { counters, inputs, started, fail_on_finding: config.fail_on_finding, is_partial: reader.finish() };
    Ok(conclude(writer, &correlator, ending)?)
}

/// All inputs, read as one stream in the order of the keys.
struct Reader {
    streams: Vec<Stream>,
    /// What the first shard is of; all others are of the same.
    analysis: Option<Analysis>,
    /// Shards that began, and what they counted.
    shards: BTreeMap<u16, Option<EndLine>>,
    observations: u64,
    is_partial: bool,
}

/// One input.
struct Stream {
    name: String,
    /// None behind its end.
    lines: Option<Box<dyn BufRead>>,
    head: Option<Observation>,
    last: Option<ObservationKey>,
    number: u64,
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("the last line is cut, or longer than {LONGEST_LINE} bytes")]
    Cut,
    #[error("not a line of {SCHEMA}: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not a line of {SCHEMA}")]
    Schema,
    #[error("goes back in order: sort by key, or give each shard's file as it was written")]
    Order,
    #[error("is of another analysis than the first shard: other inputs, options, number of shards or version")]
    Analysis,
    #[error("shard {0} was there already")]
    Twice(u16),
}

impl Reader {
    /// Opens the inputs and reads up to the first observation of each.
    fn open(inputs: &[impl AsRef<Path>]) -> Result<Self, Failure> {
        let streams = inputs.iter().map(|path| Stream::open(path.as_ref())).collect::<Result<_, _>>()?;
        let mut reader = Self { streams, analysis: None, shards: BTreeMap::new(), observations: 0, is_partial: false };
        (0..reader.streams.len()).for_each(|index| reader.advance(index));
        Ok(reader)
    }

    fn next(&mut self) -> Option<Observation> {
        let heads = self.streams.iter().enumerate().filter_map(|(index, stream)| Some((stream.head.as_ref()?.key, index)));
        let (_, index) = heads.min()?;
        let observation = self.streams.get_mut(index)?.head.take();
        self.observations += 1;
        self.advance(index);
        observation
    }

    /// Reads a stream up to its next observation. One that is wrong ends there.
    fn advance(&mut self, index: usize) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if let Err(wrong) = fill(stream, &mut self.analysis, &mut self.shards) {
            error!("{}: line {}: {}", stream.name, stream.number, escape::text(wrong.to_string().as_bytes()));
            stream.lines = None;
            self.is_partial = true;
        }
    }

    /// What all shards counted, and how their inputs went.
    fn counted(&self) -> (Counters, Vec<InputSummary>) {
        let ends = || self.shards.values().flatten();
        let counters = ends().map(|end| end.counters).reduce(|counters, other| counters.with_flows_of(&other));
        (counters.unwrap_or_default(), ends().next().map(|end| end.inputs.clone()).unwrap_or_default())
    }

    /// Whether anything is missing, which it tells.
    fn finish(mut self) -> bool {
        let of = self.analysis.as_ref().map_or(0, |analysis| analysis.shards);
        for number in 1..=of {
            match self.shards.get(&number) {
                Some(Some(_)) => continue,
                Some(None) => error!("shard {number} of {of} has no end: it is not all there"),
                None => error!("shard {number} of {of} is missing"),
            }
            self.is_partial = true;
        }
        let told = self.shards.values().flatten().fold(0_u64, |sum, end| sum.saturating_add(end.observations));
        if !self.is_partial && told != self.observations {
            error!("there are {} observations, and should be {told}", self.observations);
            self.is_partial = true;
        }
        self.is_partial
    }
}

impl Stream {
    fn open(path: &Path) -> Result<Self, Failure> {
        let name = escape::text(path.display().to_string().as_bytes());
        let lines: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let open = |error| Failure::Input(format!("{name}: {error}"));
            Box::new(BufReader::new(File::open(path).map_err(open)?))
        };
        Ok(Self { name, lines: Some(lines), head: None, last: None, number: 0 })
    }

    /// The next line; none at the end.
    fn line(&mut self) -> Result<Option<Line<Observation>>, Wrong> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        let mut bytes = Vec::new();
        self.number += 1;
        lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        match bytes.last() {
            None => self.lines = None,
            Some(b'\n') => return Ok(Some(serde_json::from_slice(&bytes)?)),
            Some(_) => return Err(Wrong::Cut),
        }
        Ok(None)
    }
}

/// Reads up to an observation, and notes which shards begin and end before it.
fn fill(stream: &mut Stream, analysis: &mut Option<Analysis>, shards: &mut BTreeMap<u16, Option<EndLine>>) -> Result<(), Wrong> {
    while let Some(line) = stream.line()? {
        if line.schema != SCHEMA {
            return Err(Wrong::Schema);
        }
        match line {
            Line { shard: Some(ShardLine { number, analysis: of }), observation: None, end: None, .. } => {
                if *analysis.get_or_insert_with(|| of.clone()) != of {
                    return Err(Wrong::Analysis);
                }
                if !(1..=of.shards).contains(&number) {
                    return Err(Wrong::Schema);
                }
                if shards.insert(number, None).is_some() {
                    return Err(Wrong::Twice(number));
                }
            }
            Line { shard: None, observation: Some(observation), end: None, .. } => {
                if stream.last.is_some_and(|last| last >= observation.key) {
                    return Err(Wrong::Order);
                }
                stream.last = Some(observation.key);
                stream.head = Some(observation);
                return Ok(());
            }
            Line { shard: None, observation: None, end: Some(end), .. } => match shards.get_mut(&end.number) {
                Some(shard @ None) => *shard = Some(end),
                Some(_) => return Err(Wrong::Twice(end.number)),
                None => return Err(Wrong::Schema),
            },
            _ => return Err(Wrong::Schema),
        }
    }
    Ok(())
}
