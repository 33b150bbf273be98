//! Rust source text without what does not count: comments, literals, tests. And the paths that it names.

/// Blanks out comments and the contents of literals; line breaks stay.
pub(crate) fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_opaque(&chars, at);
        if end > at {
            out.push(' ');
            out.extend(chars[at..end].iter().filter(|c| **c == '\n'));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn end_of_opaque(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied().unwrap_or(' ');
    match chars[at] {
        '/' if next == '/' => chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length),
        '/' if next == '*' => find(chars, at + 2, "*/"),
        '"' => end_of_string(chars, at + 1),
        'r' if (next == '"' || next == '#') && (at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b') => {
            let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            find(chars, at + 2 + hashes, &format!("\"{}", "#".repeat(hashes)))
        }
        '\'' if next == '\\' => find(chars, at + 3, "'"),
        // Not a lifetime.
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Behind the next occurrence of `what`.
fn find(chars: &[char], from: usize, what: &str) -> usize {
    let what: Vec<char> = what.chars().collect();
    let found = (from..chars.len()).find(|at| chars[*at..].starts_with(&what));
    found.map_or(chars.len(), |at| at + what.len())
}

/// Takes every `#[cfg(test)]` item out. The names and `#[path]`s of modules that stand in files of their own are returned.
pub(crate) fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::new();
    let mut modules = Vec::new();
    let mut rest = code;
    while let Some((before, behind)) = rest.split_once(MARK) {
        out.push_str(before);
        let length = item_length(behind);
        let item = &behind[..length];
        if let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
            modules.push(name.1.trim().to_owned());
        }
        rest = &behind[length..];
    }
    out.push_str(rest);
    (out, modules)
}

/// Up to the end of an item: its closing brace, or a semicolon outside of all brackets.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == ';' || c == '}') {
            return at + 1;
        }
    }
    code.len()
}

/// Whole words of code.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Every path below `root`, such as `crate`, without the root: `use` trees are written out. `a::b::c`.
pub(crate) fn paths_below(code: &str, root: &str) -> Vec<String> {
    let start = format!("{root}::");
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(&start) {
        if code[..at].chars().next_back().is_some_and(|before| is_word(before) || before == ':') {
            continue;
        }
        expand("", &code[at + start.len()..], &mut paths);
    }
    paths
}

/// Adds the paths that a path or tree at the beginning of `code` stands for.
fn expand(prefix: &str, code: &str, paths: &mut Vec<String>) {
    let code = code.trim_start();
    if let Some(tree) = code.strip_prefix('{') {
        let mut depth = 0;
        let inside = tree.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth < 0
        });
        for branch in branches(&tree[..inside.unwrap_or(tree.len())]) {
            expand(prefix, branch, paths);
        }
        return;
    }
    let name: String = code.chars().take_while(|c| is_word(*c)).collect();
    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}::{name}") };
    match code[name.len()..].trim_start().strip_prefix("::") {
        Some(rest) => expand(&path, rest, paths),
        None => paths.push(path.trim_end_matches(':').to_owned()),
    }
}

/// The branches of a `use` tree.
fn branches(tree: &str) -> Vec<&str> {
    let mut depth = 0;
    let at_comma = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    };
    tree.split(at_comma).filter(|branch| !branch.trim().is_empty()).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
