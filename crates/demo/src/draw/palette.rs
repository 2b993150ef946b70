//! The twelve named colours of the demo: captions name what the pixels show.
use super::raster::Color;

/// A colour and what it is called in each language, in the one form that the caption templates need.
pub(crate) struct Paint {
    pub rgb: Color,
    /// Adjective.
    pub en: &'static str,
    /// Noun, for "in …".
    pub de: &'static str,
    /// Feminine adjective, for "de couleur …".
    pub fr: &'static str,
    /// Noun, for "de color …".
    pub es: &'static str,
    /// Genitive adjective, for "… цвета".
    pub ru: &'static str,
    /// Stem, before 的.
    pub zh: &'static str,
}

const fn paint(rgb: [u8; 3], words: [&'static str; 6]) -> Paint {
    let [r, g, b] = rgb;
    let [en, de, fr, es, ru, zh] = words;
    Paint { rgb: [r as f32 / 255.0, g as f32 / 255.0, b as f32 / 255.0], en, de, fr, es, ru, zh }
}

/// All colours. The concepts' domains refer to them by place.
pub(crate) const PALETTE: [Paint; 12] = [
    paint([214, 48, 49], ["red", "Rot", "rouge", "rojo", "красного", "红色"]),
    paint([240, 134, 38], ["orange", "Orange", "orange", "naranja", "оранжевого", "橙色"]),
    paint([246, 205, 60], ["yellow", "Gelb", "jaune", "amarillo", "жёлтого", "黄色"]),
    paint([72, 160, 78], ["green", "Grün", "verte", "verde", "зелёного", "绿色"]),
    paint([32, 158, 155], ["teal", "Türkis", "turquoise", "turquesa", "бирюзового", "青色"]),
    paint([45, 104, 196], ["blue", "Blau", "bleue", "azul", "синего", "蓝色"]),
    paint([124, 74, 172], ["purple", "Lila", "violette", "morado", "фиолетового", "紫色"]),
    paint([236, 120, 165], ["pink", "Rosa", "rose", "rosa", "розового", "粉色"]),
    paint([134, 88, 54], ["brown", "Braun", "marron", "marrón", "коричневого", "棕色"]),
    paint([42, 44, 52], ["black", "Schwarz", "noire", "negro", "чёрного", "黑色"]),
    paint([240, 240, 236], ["white", "Weiß", "blanche", "blanco", "белого", "白色"]),
    paint([140, 146, 154], ["grey", "Grau", "grise", "gris", "серого", "灰色"]),
];

/// Places in [`PALETTE`].
pub(crate) const RED: u8 = 0;
pub(crate) const ORANGE: u8 = 1;
pub(crate) const YELLOW: u8 = 2;
pub(crate) const GREEN: u8 = 3;
pub(crate) const TEAL: u8 = 4;
pub(crate) const BLUE: u8 = 5;
pub(crate) const PURPLE: u8 = 6;
pub(crate) const PINK: u8 = 7;
pub(crate) const BROWN: u8 = 8;
pub(crate) const BLACK: u8 = 9;
pub(crate) const WHITE: u8 = 10;
pub(crate) const GREY: u8 = 11;

/// Everything that is no black, white or grey.
pub(crate) const BRIGHT: &[u8] = &[RED, ORANGE, YELLOW, GREEN, TEAL, BLUE, PURPLE, PINK];
