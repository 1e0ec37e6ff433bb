//! Theme files: TOML with `[meta]`, `[palette]`, `[slots]`, `[term_cycle]` and `[glyphs]`.
//!
//! Kept true: what is wrong is said with file, line and column, and with what was perhaps meant.
//! Not here: what slots mean (`mod.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use ratatui::style::{Color, Modifier};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{MODIFIERS, Slot};

/// What is wrong in a theme file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Wrong {
    /// Which file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What, and what was perhaps meant.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} {}", self.file, self.line, self.column, self.what)
    }
}

/// A colour with what stands for it where there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    /// As written; `Reset` is the terminal's own.
    pub color: Color,
    /// With 256 colours.
    pub c256: Option<u8>,
    /// With 16 colours.
    pub ansi: Option<Color>,
}

/// What a theme says of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotStyle {
    /// Of the signs.
    pub fg: Option<Paint>,
    /// Behind them.
    pub bg: Option<Paint>,
    /// Bold and the like.
    pub modifiers: Modifier,
    /// The same without colours.
    pub mono: Option<Modifier>,
    /// Whether it says how it looks with 16 colours.
    pub has_ansi: bool,
}

/// A theme as written.
#[derive(Clone, Debug, Default)]
pub struct ThemeFile {
    /// Where it is from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// The theme that it builds on.
    pub inherits: Option<String>,
    /// Light or dark, if it says so.
    pub variant: Option<String>,
    /// By name.
    pub slots: BTreeMap<String, SlotStyle>,
    /// Colours of terms.
    pub terms: Vec<Paint>,
    /// Whether it asks for ASCII glyphs.
    pub ascii: Option<bool>,
    /// What was not understood and does not matter, with its place.
    pub warnings: Vec<String>,
}

const ANSI: [(&str, Color); 16] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright-black", Color::DarkGray),
    ("bright-red", Color::LightRed),
    ("bright-green", Color::LightGreen),
    ("bright-yellow", Color::LightYellow),
    ("bright-blue", Color::LightBlue),
    ("bright-magenta", Color::LightMagenta),
    ("bright-cyan", Color::LightCyan),
    ("bright-white", Color::White),
];

/// `, did you mean …` if one of the names is near.
pub fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = names.map(|name| (distance(word, name), name)).min();
    match near {
        Some((far, name)) if far <= 2 || far * 3 <= word.len() => format!(", did you mean \"{name}\""),
        _ => String::new(),
    }
}

/// Letters to be changed, added or taken away to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (place, wanted) in other.iter().enumerate() {
            let best = (corner + usize::from(letter != *wanted)).min(row[place] + 1).min(row[place + 1] + 1);
            corner = row[place + 1];
            row[place + 1] = best;
        }
    }
    row[other.len()]
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    palette: BTreeMap<String, Color>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    fn wrong(&self, span: Range<usize>, what: impl Into<String>) -> Wrong {
        let (line, column) = self.place(span.start);
        Wrong { file: self.file.to_owned(), line, column, what: what.into() }
    }

    fn string<'v>(&self, value: &'v Value<'_>) -> Result<&'v str, Wrong> {
        value.get_ref().as_str().ok_or_else(|| self.wrong(value.span(), "expected text in quotes"))
    }

    fn table<'v, 'd>(&self, value: &'v Value<'d>) -> Result<&'v DeTable<'d>, Wrong> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(value.span(), "expected a table"))
    }

    fn ansi(&self, value: &Value<'_>) -> Result<Color, Wrong> {
        let word = self.string(value)?;
        if word == "none" {
            return Ok(Color::Reset);
        }
        ANSI.iter().find(|(name, _)| *name == word).map(|(_, color)| *color).ok_or_else(|| {
            let hint = did_you_mean(word, ANSI.iter().map(|(name, _)| *name));
            self.wrong(value.span(), format!("unknown terminal colour \"{word}\"{hint}"))
        })
    }

    fn color(&self, value: &Value<'_>) -> Result<Color, Wrong> {
        let word = self.string(value)?;
        if let Some(hex) = word.strip_prefix('#') {
            return parse_hex(hex)
                .ok_or_else(|| self.wrong(value.span(), format!("\"{word}\" is no colour: write #rgb or #rrggbb")));
        }
        if word == "none" {
            return Ok(Color::Reset);
        }
        if let Some(color) = self.palette.get(word) {
            return Ok(*color);
        }
        if let Some((_, color)) = ANSI.iter().find(|(name, _)| *name == word) {
            return Ok(*color);
        }
        let names = self.palette.keys().map(String::as_str).chain(ANSI.iter().map(|(name, _)| *name));
        let hint = did_you_mean(word, names);
        Err(self.wrong(value.span(), format!("unknown colour \"{word}\"{hint}")))
    }

    fn modifiers(&self, value: &Value<'_>) -> Result<Modifier, Wrong> {
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.wrong(value.span(), "expected a list such as [\"bold\"]"));
        };
        let mut modifiers = Modifier::empty();
        for item in array {
            let word = self.string(item)?;
            let Some((_, modifier)) = MODIFIERS.iter().find(|(name, _)| *name == word) else {
                let hint = did_you_mean(word, MODIFIERS.iter().map(|(name, _)| *name));
                return Err(self.wrong(item.span(), format!("unknown modifier \"{word}\"{hint}")));
            };
            modifiers |= *modifier;
        }
        Ok(modifiers)
    }

    fn c256(&self, value: &Value<'_>) -> Result<u8, Wrong> {
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse::<u8>().ok());
        number.ok_or_else(|| self.wrong(value.span(), "c256 is a number from 0 to 255"))
    }

    fn slot(&self, value: &Value<'_>) -> Result<SlotStyle, Wrong> {
        if value.get_ref().as_str().is_some() {
            let paint = Paint { color: self.color(value)?, c256: None, ansi: None };
            return Ok(SlotStyle { fg: Some(paint), ..SlotStyle::default() });
        }
        let mut style = SlotStyle::default();
        let (mut fg, mut bg) = (None, None);
        let (mut ansi, mut ansi_bg, mut c256) = (None, None, None);
        for (key, value) in self.table(value)? {
            let span = key.span();
            match key.get_ref().as_ref() {
                "fg" => fg = Some(self.color(value)?),
                "bg" => bg = Some(self.color(value)?),
                "mod" => style.modifiers = self.modifiers(value)?,
                "mono" => style.mono = Some(self.modifiers(value)?),
                "ansi" => ansi = Some(self.ansi(value)?),
                "ansi_bg" => ansi_bg = Some(self.ansi(value)?),
                "c256" => c256 = Some(self.c256(value)?),
                other => {
                    let keys = ["fg", "bg", "mod", "mono", "ansi", "ansi_bg", "c256"];
                    let hint = did_you_mean(other, keys.into_iter());
                    return Err(self.wrong(span, format!("unknown key \"{other}\"{hint}")));
                }
            }
        }
        style.has_ansi = ansi.is_some();
        style.fg = fg.or(ansi).map(|color| Paint { color, c256, ansi });
        style.bg = bg.or(ansi_bg).map(|color| Paint { color, c256: None, ansi: ansi_bg });
        Ok(style)
    }
}

fn parse_hex(hex: &str) -> Option<Color> {
    if !hex.is_ascii() {
        return None;
    }
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    match digits[..] {
        [r, g, b] => Some(Color::Rgb(r * 17, g * 17, b * 17)),
        [_, _, _, _, _, _] => {
            let pair = |at: usize| digits[at] * 16 + digits[at + 1];
            Some(Color::Rgb(pair(0), pair(2), pair(4)))
        }
        _ => None,
    }
}

impl ThemeFile {
    /// Reads a theme.
    pub fn parse(source: &str, text: &str) -> Result<Self, Wrong> {
        let mut reader = Reader { file: source, text, palette: BTreeMap::new() };
        let table = DeTable::parse(text)
            .map_err(|error| reader.wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let table = table.get_ref();
        let mut theme = Self { source: source.to_owned(), name: source.to_owned(), ..Self::default() };
        if let Some(palette) = table.get("palette") {
            for (name, value) in reader.table(palette)? {
                let color = reader.color(value)?;
                reader.palette.insert(name.get_ref().to_string(), color);
            }
        }
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "palette" => {}
                "meta" => theme.read_meta(&reader, value)?,
                "slots" => {
                    for (name, value) in reader.table(value)? {
                        let known = name.get_ref().as_ref();
                        if !Slot::ALL.iter().any(|slot| is_prefix(known, slot.name())) {
                            let hint = did_you_mean(known, Slot::ALL.iter().map(|slot| slot.name()));
                            let warning = reader.wrong(name.span(), format!("unknown slot \"{known}\"{hint}"));
                            theme.warnings.push(warning.to_string());
                        }
                        theme.slots.insert(known.to_owned(), reader.slot(value)?);
                    }
                }
                "term_cycle" => {
                    let colors = reader.table(value)?.get("colors");
                    let Some(colors) = colors.and_then(|colors| colors.get_ref().as_array()) else {
                        return Err(reader.wrong(value.span(), "term_cycle needs colors = [ … ]"));
                    };
                    for color in colors {
                        let style = reader.slot(color)?;
                        theme.terms.extend(style.fg);
                    }
                }
                "glyphs" => {
                    if let Some(set) = reader.table(value)?.get("set") {
                        theme.ascii = match reader.string(set)? {
                            "auto" => None,
                            "unicode" => Some(false),
                            "ascii" => Some(true),
                            other => {
                                let hint = did_you_mean(other, ["auto", "unicode", "ascii"].into_iter());
                                return Err(reader.wrong(set.span(), format!("unknown glyph set \"{other}\"{hint}")));
                            }
                        };
                    }
                }
                other => {
                    let known = ["meta", "palette", "slots", "term_cycle", "glyphs"];
                    let hint = did_you_mean(other, known.into_iter());
                    return Err(reader.wrong(key.span(), format!("unknown table [{other}]{hint}")));
                }
            }
        }
        Ok(theme)
    }

    fn read_meta(&mut self, reader: &Reader<'_>, value: &Value<'_>) -> Result<(), Wrong> {
        for (key, value) in reader.table(value)? {
            match key.get_ref().as_ref() {
                "name" => reader.string(value)?.clone_into(&mut self.name),
                "inherits" => self.inherits = Some(reader.string(value)?.to_owned()),
                "variant" => self.variant = Some(reader.string(value)?.to_owned()),
                "version" if value.get_ref().as_integer().is_some_and(|number| number.as_str() == "1") => {}
                "version" => return Err(reader.wrong(value.span(), "this program reads themes of version 1")),
                _ => {}
            }
        }
        Ok(())
    }

    /// What this theme says of a slot: by its name, or by the longest prefix of it.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<&SlotStyle> {
        let mut name = name;
        loop {
            if let Some(style) = self.slots.get(name) {
                return Some(style);
            }
            name = name.rsplit_once('.')?.0;
        }
    }
}

fn is_prefix(short: &str, name: &str) -> bool {
    name.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
