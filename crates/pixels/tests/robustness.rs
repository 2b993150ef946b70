//! Wrong input: every way an image can be wrong has its own code, and no bytes make the decoders panic or take too much memory.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use cribble_pixels::{Limits, Mode, PixelError, Preprocess, Scratch, decode_rgb};

thread_local! {
    /// Largest single allocation of this thread.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, watched.
struct Watched;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|l| l.set(l.get().max(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|l| l.set(l.get().max(layout.size())));
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.with(|l| l.set(l.get().max(size)));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn images() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/images");
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn image(name: &str) -> Vec<u8> {
    images().into_iter().find(|(n, _)| n == name).unwrap().1
}

fn clip() -> Preprocess {
    Preprocess::open_clip(32, [0.5; 3], [0.5; 3], "bicubic", "shortest").unwrap()
}

fn code(bytes: &[u8]) -> &'static str {
    let mut out = vec![0.0; 3 * 32 * 32];
    let (mut scratch, limits) = (Scratch::default(), Limits::default());
    let exact = clip().run(bytes, Mode::Exact, &limits, &mut scratch, &mut out).map_err(|e| e.code());
    let fast = clip().run(bytes, Mode::Fast, &limits, &mut scratch, &mut out).map_err(|e| e.code());
    let whole = decode_rgb(bytes, &limits).map(|_| ()).map_err(|e| e.code());
    assert_eq!((exact, fast), (whole, whole));
    exact.err().unwrap_or("ok")
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let named: Vec<u8> = kind.iter().chain(body).copied().collect();
    let crc = !named.iter().fold(u32::MAX, |crc, b| (0..8).fold(crc ^ u32::from(*b), step));
    [&(body.len() as u32).to_be_bytes()[..], &named, &crc.to_be_bytes()].concat()
}

/// A PNG of that size in grey whose data is one empty block.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let data = [0x78, 0x9c, 0x03, 0x00, 0, 0, 0, 1];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", b"")]
        .concat()
}

#[test]
fn each_wrong_input_has_its_code() {
    assert_eq!(code(b""), "empty_image");
    assert_eq!(code(b"<html>not an image</html>"), "unknown_format");
    assert_eq!(code(&[0xff]), "unknown_format");
    for name in [
        "sampling-420.jpg",
        "sampling-420-progressive.jpg",
        "rgba.png",
        "lossy.webp",
        "lossless.webp",
        "p.gif",
        "rgb.bmp",
    ] {
        let bytes = image(name);
        assert_eq!(code(&bytes), "ok", "{name}");
        assert_eq!(code(&bytes[..bytes.len() / 2]), "truncated_image", "{name}");
    }
    // A code that is in no table: the data of a scan replaced by ones.
    let mut jpeg = image("grey.jpg");
    let scan = jpeg.windows(2).position(|w| w == [0xff, 0xda]).unwrap() + 10;
    let end = jpeg.len() - 2;
    jpeg[scan..end].iter_mut().enumerate().for_each(|(i, b)| *b = if i % 2 == 0 { 0xff } else { 0 });
    assert_eq!(code(&jpeg), "corrupt_image");
    let mut png = image("l.png");
    let middle = png.len() / 2;
    png[middle] ^= 0x55;
    assert_eq!(code(&png), "corrupt_image");
    // SOF9: arithmetic coding.
    let mut jpeg = image("grey.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 1] = 0xc9;
    assert_eq!(code(&jpeg), "unsupported_image");
}

#[test]
fn bombs_are_refused_by_their_header() {
    let limits = Limits::default();
    LARGEST.with(|l| l.set(0));
    let mut files = vec![bomb(20_000, 20_000), bomb(u32::MAX >> 1, u32::MAX >> 1)];
    // A JPEG and a GIF that claim 65,500 x 65,500.
    let mut jpeg = image("grey.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    files.push(jpeg);
    let mut gif = image("p.gif");
    gif[6..10].copy_from_slice(&[0xdc, 0xff, 0xdc, 0xff]);
    files.push(gif);
    let mut bmp = image("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    files.push(bmp);
    for file in files {
        let error = decode_rgb(&file, &limits).unwrap_err();
        assert_eq!(error.code(), "too_many_pixels", "{error}");
        assert_eq!(code(&file), "too_many_pixels");
    }
    assert!(LARGEST.with(Cell::get) < 1 << 20, "{} bytes at once", LARGEST.with(Cell::get));
    // Just inside the limit there is no refusal, but 12,000 x 12,000 pixels cannot be in so few bytes.
    assert_eq!(code(&bomb(12_000, 12_000)), "truncated_image");
    // The limit is the caller's.
    let small = Limits { max_pixels: 109 * 77 - 1 };
    let refused = decode_rgb(&image("sampling-420.jpg"), &small);
    assert_eq!(refused, Err(PixelError::TooManyPixels { width: 109, height: 77, limit: small.max_pixels }));
    assert!(decode_rgb(&image("sampling-420.jpg"), &Limits { max_pixels: 109 * 77 }).is_ok());
}

#[test]
fn a_jpeg_that_promises_more_than_its_bytes_takes_no_memory() {
    for name in ["grey.jpg", "sampling-420-progressive.jpg"] {
        let mut jpeg = image(name);
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0] || w == [0xff, 0xc2]).unwrap();
        jpeg[frame + 5..frame + 9].copy_from_slice(&[0x30, 0x00, 0x30, 0x00]);
        LARGEST.with(|l| l.set(0));
        assert_eq!(code(&jpeg), "truncated_image");
        assert!(LARGEST.with(Cell::get) < 1 << 20);
    }
}

#[test]
fn no_bytes_make_it_panic_or_take_too_much() {
    let limits = Limits { max_pixels: 1_000_000 };
    let mut scratch = Scratch::default();
    let mut out = vec![0.0; 3 * 32 * 32];
    let mut state = 9u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    LARGEST.with(|l| l.set(0));
    let (mut fine, mut refused) = (0, 0);
    for (name, bytes) in images() {
        if name == "size-333x517.jpg" || name == "size-224x224.jpg" {
            continue;
        }
        for round in 0..40 {
            let mut bytes = bytes.clone();
            match round % 4 {
                0 => bytes.truncate(random(bytes.len())),
                1 => (0..1 + random(3)).for_each(|_| {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }),
                // Headers are where the sizes are.
                2 => {
                    let at = random(bytes.len().min(700));
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)];
                }
                _ => {
                    let at = random(bytes.len());
                    let n = random(9).min(bytes.len() - at);
                    bytes.drain(at..at + n);
                }
            }
            let mode = if round % 2 == 0 { Mode::Exact } else { Mode::Fast };
            match clip().run(&bytes, mode, &limits, &mut scratch, &mut out) {
                Ok(()) => fine += 1,
                Err(error) => {
                    assert!(!error.code().is_empty() && error.to_string().len() > 20, "{name}: {error}");
                    refused += 1;
                }
            }
        }
    }
    // Both must happen, else nothing was tried.
    assert!(fine > 200 && refused > 500, "{fine} fine, {refused} refused");
    // Four bytes a pixel, and what the decoders need beside: no header may ask for more.
    let largest = LARGEST.with(Cell::get);
    assert!(largest <= 16_000_000, "{largest} bytes at once for at most 1,000,000 pixels");
}

#[test]
fn configurations_are_refused_by_the_key() {
    let key = |text: &str| match Preprocess::from_json(text) {
        Err(PixelError::Config { key, .. }) => key,
        other => panic!("{text}: {other:?}"),
    };
    let with = |rest: &str| format!("{{\"image_processor_type\":\"CLIPImageProcessor\",{rest}}}");
    assert_eq!(key("no"), "(file)");
    assert_eq!(key("[]"), "(file)");
    assert_eq!(key("{}"), "image_processor_type");
    assert_eq!(key("{\"image_processor_type\":\"LlavaImageProcessor\"}"), "image_processor_type");
    assert_eq!(key(&with("\"crop_size\":224")), "size");
    assert_eq!(key(&with("\"size\":224")), "crop_size");
    assert_eq!(key(&with("\"size\":{\"shortest_edge\":224},\"do_center_crop\":false")), "do_center_crop");
    assert_eq!(key(&with("\"size\":{\"longest_edge\":224},\"crop_size\":224")), "size.longest_edge");
    assert_eq!(key(&with("\"size\":{\"width\":224},\"crop_size\":224")), "size");
    assert_eq!(key(&with("\"size\":0,\"crop_size\":224")), "size");
    assert_eq!(key(&with("\"size\":224,\"crop_size\":224,\"resample\":6")), "resample");
    assert_eq!(key(&with("\"size\":224,\"crop_size\":224,\"image_std\":[1,0,1]")), "image_std");
    assert_eq!(key(&with("\"size\":224,\"crop_size\":224,\"image_mean\":[1,0]")), "image_mean");
    assert_eq!(key(&with("\"size\":224,\"crop_size\":224,\"do_resize\":1")), "do_resize");
    let wrong =
        |how, mode| Preprocess::open_clip(224, [0.5; 3], [0.5; 3], how, mode).unwrap_err().to_string();
    assert!(wrong("area", "shortest").contains("`interpolation`"));
    assert!(wrong("bicubic", "widest").contains("`resize_mode`"));
    let mut out = vec![0.0; 5];
    let short =
        clip().run(&image("grey.jpg"), Mode::Exact, &Limits::default(), &mut Scratch::default(), &mut out);
    assert_eq!(short, Err(PixelError::OutputSize { needed: 3 * 32 * 32, given: 5 }));
}

#[test]
fn the_same_treatment_serialises_to_the_same_bytes() {
    let of = |text: &str| serde_json::to_string(&Preprocess::from_json(text).unwrap()).unwrap();
    let long = of(
        r#"{"image_processor_type":"CLIPImageProcessor","do_resize":true,"size":{"shortest_edge":224},"resample":3,
        "do_center_crop":true,"crop_size":{"height":224,"width":224},"do_rescale":true,"rescale_factor":0.00392156862745098,
        "do_normalize":true,"image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711]}"#,
    );
    let short = of(r#"{"crop_size":224,"feature_extractor_type":"CLIPFeatureExtractor","size":224}"#);
    assert_eq!(long, short);
    assert_ne!(long, of(r#"{"crop_size":224,"feature_extractor_type":"CLIPFeatureExtractor","size":256}"#));
}
