//! Hashes over parts whose borders count: every part is preceded by its length, so `ab, c` and `a, bc` differ.
pub(super) struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    pub fn new(purpose: &[u8]) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.part(purpose);
        hasher
    }

    pub fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// The first 128 bits as text.
    pub fn hex(&self) -> String {
        self.0.finalize().to_hex()[..32].to_owned()
    }
}
