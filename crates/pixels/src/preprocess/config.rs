//! Reading a checkpoint's own description of its preprocessing.

use serde_json::{Map, Value};

use super::geometry::{CropRounding, Resize};
use super::{Filter, Preprocess};
use crate::PixelError;

/// Largest edge of an output. No encoder comes near it; a typing error should not ask for terabytes.
const MAX_EDGE: u64 = 16_384;

/// Mean and deviation of the images that OpenAI trained CLIP on (transformers `OPENAI_CLIP_MEAN`, `OPENAI_CLIP_STD`).
const CLIP: ([f32; 3], [f32; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);
/// transformers `IMAGENET_STANDARD_MEAN` and `_STD`.
const HALVES: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);

/// What a processor does where its file does not say.
struct Defaults {
    filter: Filter,
    crop: bool,
    /// A size of one number means a square.
    square: bool,
    normal: ([f32; 3], [f32; 3]),
}

impl Defaults {
    fn of(processor: &str) -> Option<Self> {
        // "Fast" and "Pil" name the backend, not another treatment.
        let name = processor.trim_end_matches("Fast").trim_end_matches("Pil");
        Some(match name {
            "CLIPImageProcessor" | "CLIPFeatureExtractor" | "BitImageProcessor" => {
                Self { filter: Filter::Bicubic, crop: true, square: false, normal: CLIP }
            }
            "SiglipImageProcessor" => {
                Self { filter: Filter::Bicubic, crop: false, square: true, normal: HALVES }
            }
            "ViTImageProcessor" | "ViTFeatureExtractor" => {
                Self { filter: Filter::Bilinear, crop: false, square: true, normal: HALVES }
            }
            _ => return None,
        })
    }
}

impl Preprocess {
    /// From the text of a Hugging Face `preprocessor_config.json` of CLIP, SigLIP, BiT (DINOv2) or ViT, slow or fast.
    ///
    /// # Errors
    /// Names the key that is missing, unknown or impossible.
    pub fn from_json(text: &str) -> Result<Self, PixelError> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| PixelError::config("(file)", format!("not JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(PixelError::config("(file)", "a JSON object was expected"));
        };
        // A processor_config.json of transformers 5 nests the image processor.
        if let Some(Value::Object(inner)) = map.get("image_processor") {
            return Self::from_map(inner);
        }
        Self::from_map(&map)
    }

    fn from_map(map: &Map<String, Value>) -> Result<Self, PixelError> {
        let name =
            ["image_processor_type", "feature_extractor_type"].iter().find_map(|k| map.get(*k)?.as_str());
        let defaults = match name {
            Some(name) => Defaults::of(name).ok_or_else(|| {
                let known = "CLIPImageProcessor, SiglipImageProcessor, BitImageProcessor, ViTImageProcessor";
                PixelError::config("image_processor_type", format!("`{name}` is unknown; known are {known}"))
            })?,
            None => {
                let problem = "missing; it names the processor, for example CLIPImageProcessor";
                return Err(PixelError::config("image_processor_type", problem));
            }
        };
        let filter = match map.get("resample") {
            None | Some(Value::Null) => defaults.filter,
            Some(v) => v
                .as_u64()
                .and_then(Filter::from_pil)
                .ok_or_else(|| PixelError::config("resample", format!("{v} is no number from 0 to 5")))?,
        };
        let resize = if flag(map, "do_resize", true)? { resize(map, defaults.square)? } else { Resize::None };
        let output = if flag(map, "do_center_crop", defaults.crop)? {
            let crop = map.get("crop_size").filter(|v| !v.is_null());
            let crop =
                crop.ok_or_else(|| PixelError::config("crop_size", "missing, and do_center_crop is true"))?;
            pair("crop_size", crop)?.ok_or_else(|| {
                PixelError::config("crop_size", "a number or {\"height\", \"width\"} was expected")
            })?
        } else if let Resize::Exact(height, width) = resize {
            (height, width)
        } else {
            let problem = "the size of the output would depend on the image; set it true, or give `size` height and width";
            return Err(PixelError::config("do_center_crop", problem));
        };
        if flag(map, "do_pad", false)? {
            return Err(PixelError::config("do_pad", "padding is not done here; set it false"));
        }
        let scale = match map.get("rescale_factor") {
            _ if !flag(map, "do_rescale", true)? => 1.0,
            None | Some(Value::Null) => 1.0 / 255.0,
            Some(v) => v
                .as_f64()
                .filter(|f| *f > 0.0)
                .ok_or_else(|| PixelError::config("rescale_factor", format!("{v} is no positive number")))?,
        };
        let (mean, std) = if flag(map, "do_normalize", true)? {
            (three(map, "image_mean", defaults.normal.0)?, three(map, "image_std", defaults.normal.1)?)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        deviations("image_std", &std)?;
        Ok(Self { resize, filter, output, rounding: CropRounding::Down, fill: 0, scale, mean, std })
    }

    /// As open_clip's `image_transform(size, is_train=False, ..)`: `preprocess_cfg` of `open_clip_config.json`. `interpolation` is
    /// `bicubic`, `bilinear` or `random` (bicubic in evaluation); `resize_mode` is `shortest` (shorter edge to `size`, then a centre
    /// crop), `longest` (longer edge to `size`, then padded with 0) or `squash`.
    ///
    /// The image is converted to RGB first, as open_clip's data pipeline does (`decode("pilrgb")`).
    ///
    /// # Errors
    /// Names the key that is impossible.
    pub fn open_clip(
        size: usize,
        mean: [f32; 3],
        std: [f32; 3],
        interpolation: &str,
        resize_mode: &str,
    ) -> Result<Self, PixelError> {
        let size = edge("size", size as u64)?;
        deviations("std", &std)?;
        let filter = match interpolation {
            "bicubic" | "random" => Filter::Bicubic,
            "bilinear" => Filter::Bilinear,
            other => {
                let problem = format!("`{other}` is unknown; known are bicubic, bilinear, random");
                return Err(PixelError::config("interpolation", problem));
            }
        };
        let resize = match resize_mode {
            "shortest" => Resize::Shortest(size),
            "longest" => Resize::Fit(size, size),
            "squash" => Resize::Exact(size, size),
            other => {
                let problem = format!("`{other}` is unknown; known are shortest, longest, squash");
                return Err(PixelError::config("resize_mode", problem));
            }
        };
        let rounding = CropRounding::HalfEven;
        Ok(Self { resize, filter, output: (size, size), rounding, fill: 0, scale: 1.0 / 255.0, mean, std })
    }
}

fn resize(map: &Map<String, Value>, square: bool) -> Result<Resize, PixelError> {
    let size = map
        .get("size")
        .filter(|v| !v.is_null())
        .ok_or_else(|| PixelError::config("size", "missing, and do_resize is true"))?;
    if let Some(longest) = size.get("longest_edge").filter(|v| !v.is_null()) {
        return Err(PixelError::config("size.longest_edge", format!("{longest}: not known here")));
    }
    if let Some(shortest) = size.get("shortest_edge").filter(|v| !v.is_null()) {
        return Ok(Resize::Shortest(number("size.shortest_edge", shortest)?));
    }
    if let (false, Value::Number(_)) = (square, size) {
        return Ok(Resize::Shortest(number("size", size)?));
    }
    let (height, width) = pair("size", size)?.ok_or_else(|| {
        PixelError::config("size", "a number, {\"shortest_edge\"} or {\"height\", \"width\"} was expected")
    })?;
    Ok(Resize::Exact(height, width))
}

/// (height, width) of a number or of `{"height", "width"}`.
fn pair(key: &str, value: &Value) -> Result<Option<(usize, usize)>, PixelError> {
    if value.is_number() {
        let edge = number(key, value)?;
        return Ok(Some((edge, edge)));
    }
    let (Some(height), Some(width)) = (value.get("height"), value.get("width")) else { return Ok(None) };
    Ok(Some((number(&format!("{key}.height"), height)?, number(&format!("{key}.width"), width)?)))
}

fn number(key: &str, value: &Value) -> Result<usize, PixelError> {
    let number =
        value.as_u64().ok_or_else(|| PixelError::config(key, format!("{value} is no whole number")))?;
    edge(key, number)
}

fn edge(key: &str, pixels: u64) -> Result<usize, PixelError> {
    if !(1..=MAX_EDGE).contains(&pixels) {
        return Err(PixelError::config(key, format!("{pixels} is not between 1 and {MAX_EDGE}")));
    }
    Ok(pixels as usize)
}

fn flag(map: &Map<String, Value>, key: &str, default: bool) -> Result<bool, PixelError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(PixelError::config(key, format!("{other} is neither true nor false"))),
    }
}

fn three(map: &Map<String, Value>, key: &str, default: [f32; 3]) -> Result<[f32; 3], PixelError> {
    let wrong = |v: &Value| PixelError::config(key, format!("{v} is neither a number nor a list of three"));
    match map.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(v) if v.is_number() => Ok([v.as_f64().ok_or_else(|| wrong(v))? as f32; 3]),
        Some(v) => {
            let list: Option<Vec<f32>> =
                v.as_array().and_then(|l| l.iter().map(|x| x.as_f64().map(|f| f as f32)).collect());
            list.and_then(|l| l.try_into().ok()).ok_or_else(|| wrong(v))
        }
    }
}

fn deviations(key: &str, std: &[f32; 3]) -> Result<(), PixelError> {
    if std.iter().all(|s| s.is_finite() && *s > 0.0) {
        return Ok(());
    }
    Err(PixelError::config(key, format!("{std:?} must be positive: values are divided by it")))
}
