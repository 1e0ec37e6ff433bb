//! How far colours are apart, and how well text on them can be read.
//!
//! Not here: which colours a theme has (`file.rs`).

use ratatui::style::Color;

/// The red, green and blue of a colour; `None` for what only the terminal knows.
#[must_use]
pub const fn rgb(color: Color) -> Option<(u8, u8, u8)> {
    match color {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        _ => None,
    }
}

fn linear(channel: u8) -> f64 {
    let value = f64::from(channel) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Contrast of two colours as WCAG 2 computes it: 1 to 21.
#[must_use]
pub fn contrast(one: (u8, u8, u8), other: (u8, u8, u8)) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Lightness and the two axes of colour (`OKLab`).
fn oklab((r, g, b): (u8, u8, u8)) -> [f64; 3] {
    let [red, green, blue] = [r, g, b].map(linear);
    let long = (0.412_221_470_8 * red + 0.536_332_536_3 * green + 0.051_445_992_9 * blue).cbrt();
    let middle = (0.211_903_498_2 * red + 0.680_699_545_1 * green + 0.107_396_956_6 * blue).cbrt();
    let short = (0.088_302_461_9 * red + 0.281_718_837_6 * green + 0.629_978_700_5 * blue).cbrt();
    [
        0.210_454_255_3 * long + 0.793_617_785_0 * middle - 0.004_072_046_8 * short,
        1.977_998_495_1 * long - 2.428_592_205_0 * middle + 0.450_593_709_9 * short,
        0.025_904_037_1 * long + 0.782_771_766_2 * middle - 0.808_675_766_0 * short,
    ]
}

/// How different two colours look, squared.
fn distance(one: (u8, u8, u8), other: (u8, u8, u8)) -> f64 {
    oklab(one).iter().zip(oklab(other)).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The colour of the 256-colour table that looks nearest.
#[must_use]
pub fn nearest_indexed(color: Color) -> Color {
    let Some(wanted) = rgb(color) else { return color };
    let nearest =
        (16..=255u8).min_by(|one, other| distance(wanted, indexed(*one)).total_cmp(&distance(wanted, indexed(*other))));
    nearest.map_or(color, Color::Indexed)
}

fn indexed(number: u8) -> (u8, u8, u8) {
    if number >= 232 {
        let grey = 8 + 10 * (number - 232);
        return (grey, grey, grey);
    }
    let cube = number.saturating_sub(16);
    let step = |level: u8| if level == 0 { 0 } else { 55 + 40 * level };
    (step(cube / 36), step(cube / 6 % 6), step(cube % 6))
}

/// The 16 colours as most terminals show them.
const SIXTEEN: [(Color, (u8, u8, u8)); 16] = [
    (Color::Black, (0, 0, 0)),
    (Color::Red, (205, 49, 49)),
    (Color::Green, (13, 188, 121)),
    (Color::Yellow, (229, 229, 16)),
    (Color::Blue, (36, 114, 200)),
    (Color::Magenta, (188, 63, 188)),
    (Color::Cyan, (17, 168, 205)),
    (Color::Gray, (229, 229, 229)),
    (Color::DarkGray, (102, 102, 102)),
    (Color::LightRed, (241, 76, 76)),
    (Color::LightGreen, (35, 209, 139)),
    (Color::LightYellow, (245, 245, 67)),
    (Color::LightBlue, (59, 142, 234)),
    (Color::LightMagenta, (214, 112, 214)),
    (Color::LightCyan, (41, 184, 219)),
    (Color::White, (255, 255, 255)),
];

/// The colour of the 16 that looks nearest; a theme had better say it itself.
#[must_use]
pub fn nearest_sixteen(color: Color) -> Color {
    let Some(wanted) = rgb(color) else { return color };
    let far = |entry: &&(Color, (u8, u8, u8))| distance(wanted, entry.1);
    SIXTEEN.iter().min_by(|one, other| far(one).total_cmp(&far(other))).map_or(color, |entry| entry.0)
}
