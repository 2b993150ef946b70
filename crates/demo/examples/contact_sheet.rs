//! Writes contact sheets of the drawn concepts as PPM files: `cargo run -p cribble-demo --example contact_sheet -- FOLDER`.
use std::io::Write;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let options = cribble_demo::PoolOptions {
        planted: cribble_demo::Planted::NOTHING,
        zipf: 0.3,
        rows: 20_000,
        ..Default::default()
    };
    for (place, concepts) in [0..11, 11..22, 22..32, 32..42].into_iter().enumerate() {
        let (pixels, width, height) = cribble_demo::contact_sheet(&options, 9, 150, concepts);
        let mut file = std::fs::File::create(format!("{folder}/sheet{place}.ppm"))?;
        writeln!(file, "P6 {width} {height} 255")?;
        file.write_all(&pixels)?;
    }
    Ok(())
}
