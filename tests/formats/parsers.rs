//! Readers of what is sent, each by its format's specification and not by how we write it. They refuse what a strict reader
//! would.

use std::collections::BTreeMap;

/// A message of RFC 5424, taken apart.
#[derive(Debug)]
pub(crate) struct Rfc5424 {
    pub(crate) priority: u16,
    pub(crate) timestamp: String,
    pub(crate) host: String,
    pub(crate) app: String,
    pub(crate) id: String,
    /// Structured data: each element with its parameters.
    pub(crate) data: Vec<(String, Vec<(String, String)>)>,
    pub(crate) message: String,
}

/// Reads by the ABNF of RFC 5424, section 6.
pub(crate) fn rfc5424(line: &str) -> Result<Rfc5424, String> {
    let (priority, rest) = priority(line)?;
    let rest = rest.strip_prefix("1 ").ok_or("version")?;
    let mut parts = rest.splitn(6, ' ');
    let mut word = |most: usize| {
        let word = parts.next().ok_or("header ends")?;
        let is_fit = !word.is_empty() && word.len() <= most && word.bytes().all(|byte| (33..=126).contains(&byte));
        if is_fit { Ok(word.to_owned()) } else { Err(format!("{word:?} in the header")) }
    };
    let (timestamp, host, app, process, id) = (word(32)?, word(255)?, word(48)?, word(128)?, word(32)?);
    timestamp.parse::<jiff::Timestamp>().map_err(|error| error.to_string())?;
    let fraction = timestamp.split_once('.').map_or("", |(_, fraction)| fraction).trim_end_matches('Z');
    if fraction.len() > 6 || process != "-" {
        return Err(format!("{timestamp} {process}"));
    }
    let (data, rest) = structured(parts.next().ok_or("no structured data")?)?;
    let message = match rest.strip_prefix(' ') {
        Some(message) => message.to_owned(),
        None if rest.is_empty() => String::new(),
        None => return Err(format!("behind the structured data: {rest:?}")),
    };
    Ok(Rfc5424 { priority, timestamp, host, app, id, data, message })
}

fn priority(line: &str) -> Result<(u16, &str), String> {
    let (number, rest) = line.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or("priority")?;
    let value = number.parse().map_err(|_| "priority")?;
    let is_canonical = (number == "0" || !number.starts_with('0')) && value <= 191;
    if is_canonical { Ok((value, rest)) } else { Err(format!("priority {number}")) }
}

type Elements = Vec<(String, Vec<(String, String)>)>;

fn sd_name(name: &str) -> Result<String, String> {
    let is_fit = |byte: u8| (33..=126).contains(&byte) && !matches!(byte, b'=' | b']' | b'"');
    if (1..=32).contains(&name.len()) && name.bytes().all(is_fit) { Ok(name.to_owned()) } else { Err(format!("name {name:?}")) }
}

/// Structured data in front, and what is behind it.
pub(crate) fn structured(text: &str) -> Result<(Elements, &str), String> {
    if let Some(rest) = text.strip_prefix('-') {
        return Ok((Vec::new(), rest));
    }
    let (mut elements, mut rest) = (Vec::new(), text);
    while let Some(inside) = rest.strip_prefix('[') {
        let end = inside.find([' ', ']']).ok_or("element does not end")?;
        let (id, mut behind) = inside.split_at(end);
        let mut params = Vec::new();
        while let Some(param) = behind.strip_prefix(' ') {
            let (name, quoted) = param.split_once("=\"").ok_or("parameter without a value")?;
            let (value, left) = quoted_value(quoted)?;
            params.push((sd_name(name)?, value));
            behind = left;
        }
        rest = behind.strip_prefix(']').ok_or_else(|| format!("element ends with {behind:?}"))?;
        elements.push((sd_name(id)?, params));
    }
    if elements.is_empty() { Err("no structured data".to_owned()) } else { Ok((elements, rest)) }
}

/// Up to the quote that ends it: `\` escapes `"`, `\` and `]`; a bare `]` is a mistake.
fn quoted_value(text: &str) -> Result<(String, &str), String> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            ']' => return Err("a bare ] in a value".to_owned()),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                other => return Err(format!("escape {other:?}")),
            },
            c => value.push(c),
        }
    }
    Err("value does not end".to_owned())
}

/// Priority, host and content of a message by RFC 3164.
pub(crate) fn rfc3164(line: &str) -> Result<(u16, String, String), String> {
    let (priority, rest) = priority(line)?;
    let (date, rest) = rest.split_at_checked(15).ok_or("date")?;
    jiff::fmt::strtime::parse("%b %e %H:%M:%S", date).map_err(|error| format!("{date:?}: {error}"))?;
    let (host, rest) = rest.strip_prefix(' ').and_then(|rest| rest.split_once(' ')).ok_or("host")?;
    let content = rest.strip_prefix("keywitness: ").ok_or("tag")?;
    Ok((priority, host.to_owned(), content.to_owned()))
}

/// The seven fields of CEF's header, and its extension.
pub(crate) fn cef(text: &str) -> Result<(Vec<String>, BTreeMap<String, String>), String> {
    let rest = text.strip_prefix("CEF:").ok_or("CEF:")?;
    let (mut header, mut field, mut chars) = (Vec::new(), String::new(), rest.chars());
    while header.len() < 7 {
        match chars.next().ok_or("header ends")? {
            '|' => header.push(std::mem::take(&mut field)),
            '\\' => match chars.next() {
                Some(escaped @ ('|' | '\\')) => field.push(escaped),
                other => return Err(format!("escape {other:?} in the header")),
            },
            c => field.push(c),
        }
    }
    Ok((header, extension(chars.as_str())?))
}

/// `key=value key=value`: a key is a word in front of an equals sign that is not escaped; a value goes up to the space before the
/// next one.
fn extension(text: &str) -> Result<BTreeMap<String, String>, String> {
    let bytes = text.as_bytes();
    let mut signs = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'=' => signs.push(at),
            _ => {}
        }
        at += 1;
    }
    let key_start = |sign: usize| text.get(..sign).and_then(|before| before.rfind(' ')).map_or(0, |space| space + 1);
    let mut fields = BTreeMap::new();
    for (position, sign) in signs.iter().enumerate() {
        let start = key_start(*sign);
        let end = signs.get(position + 1).map_or(text.len(), |next| key_start(*next).saturating_sub(1));
        let key = text.get(start..*sign).ok_or("key")?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("key {key:?}"));
        }
        let value = unescaped(text.get(sign + 1..end).ok_or_else(|| format!("value of {key}"))?)?;
        if fields.insert(key.to_owned(), value).is_some() {
            return Err(format!("{key} comes twice"));
        }
    }
    Ok(fields)
}

fn unescaped(text: &str) -> Result<String, String> {
    let (mut value, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('=' | '\\')) => value.push(escaped),
                other => return Err(format!("escape {other:?} in a value")),
            },
            c => value.push(c),
        }
    }
    Ok(value)
}

/// The header of LEEF 2.0 without its delimiter, and the attributes.
pub(crate) fn leef(text: &str) -> Result<(Vec<String>, BTreeMap<String, String>), String> {
    let parts: Vec<&str> = text.splitn(7, '|').collect();
    let [version, vendor, product, number, event, delimiter, attributes] = parts.as_slice() else {
        return Err("header".to_owned());
    };
    if *version != "LEEF:2.0" || delimiter.chars().count() != 1 {
        return Err(format!("{version} {delimiter:?}"));
    }
    let mut fields = BTreeMap::new();
    for attribute in attributes.split(*delimiter) {
        let (key, value) = attribute.split_once('=').ok_or_else(|| format!("attribute {attribute:?}"))?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("key {key:?}"));
        }
        if fields.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{key} comes twice"));
        }
    }
    let header = [vendor, product, number, event].map(|field| (*field).to_owned());
    Ok((header.to_vec(), fields))
}
