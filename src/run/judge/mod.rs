//! `keywitness judge`: what would be said of a round trip that somebody states, one or many.

mod lines;
mod places;
mod question;

use std::io::{self, BufRead, Write};

use self::{
    lines::{Line, Lines, MAX_LINE},
    places::Places,
    question::{Question, Unreadable},
};
use super::{ExitStatus, Failure};
use crate::{
    cli::{AnswerFormat, JudgeArgs},
    config::ConfigError,
    output::{answer, escape},
};

/// Answers the one question of the command line, or those on standard input.
pub(super) fn judge(args: &JudgeArgs, input: impl BufRead, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    if args.bulk.is_none() {
        return one(args, out);
    }
    if args.format == Some(AnswerFormat::Table) {
        return Err(usage("--format: answers to standard input are NDJSON; `table` is for one question"));
    }
    many(input, out)
}

fn usage(message: impl Into<String>) -> Failure {
    ConfigError::Usage(message.into()).into()
}

fn one(args: &JudgeArgs, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let mistake = |Unreadable { field, why }: Unreadable| {
        usage(format!("--{}: {}", field.replace('_', "-"), escape::uncut(why.as_bytes())))
    };
    let question = Question::typed(args).resolve(&mut Places::default()).map_err(mistake)?;
    let mut bytes = Vec::new();
    let said = question.inquiry().answer();
    match args.format {
        Some(AnswerFormat::Ndjson) => answer::ndjson(&said, &mut bytes),
        Some(AnswerFormat::Table) | None => answer::text(&said, &mut bytes),
    }
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(ExitStatus::Ok)
}

/// Answers line by line. What was read is answered before more is waited for, so that a program on the other end of both
/// pipes can ask one question at a time.
fn many(mut input: impl BufRead, out: &mut impl Write) -> Result<ExitStatus, Failure> {
    let (mut lines, mut places, mut answers) = (Lines::default(), Places::default(), Vec::new());
    loop {
        let piece = match input.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Input(format!("standard input: {error}"))),
        };
        let length = piece.len();
        lines.split(piece, |line| answer_line(line, &mut places, &mut answers));
        input.consume(length);
        out.write_all(&answers)?;
        out.flush()?;
        answers.clear();
    }
    lines.finish(|line| answer_line(line, &mut places, &mut answers));
    out.write_all(&answers)?;
    out.flush()?;
    Ok(ExitStatus::Ok)
}

/// Adds the answer to one line, or what is wrong with it.
fn answer_line(line: Line<'_>, places: &mut Places, answers: &mut Vec<u8>) {
    let Line::Whole(line) = line else {
        return answer::refusal(&format!("the line is longer than {MAX_LINE} bytes"), answers);
    };
    let question = Question::parse(line).and_then(|question| question.resolve(places));
    match question {
        Ok(question) => answer::ndjson(&question.inquiry().answer(), answers),
        Err(unreadable) => answer::refusal(&unreadable.to_string(), answers),
    }
}
