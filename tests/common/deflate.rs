//! DEFLATE (RFC 1951) by hand: streams that no compressor would write, and the distances in those that one
//! did.
#![allow(dead_code)]

const LENGTH_BASE: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// Base and extra bits of a distance code: four codes for each power of two after the first.
fn distance_base(code: u16) -> (usize, u8) {
    if code < 4 {
        return (usize::from(code) + 1, 0);
    }
    let extra = (code / 2 - 1) as u8;
    (1 + (usize::from(2 + code % 2) << extra), extra)
}

/// Bytes in which nothing is repeated.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Writes bits, least significant first.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Bits in the last byte.
    used: u8,
}

impl Writer {
    fn bit(&mut self, bit: u16) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        *self.bytes.last_mut().unwrap() |= (bit as u8 & 1) << self.used;
        self.used = (self.used + 1) % 8;
    }

    fn bits(&mut self, value: usize, count: u8) {
        (0..count).for_each(|i| self.bit((value >> i) as u16));
    }

    /// Huffman codes come most significant bit first.
    fn code(&mut self, code: u16, count: u8) {
        (0..count).rev().for_each(|i| self.bit(code >> i));
    }

    fn symbol(&mut self, symbol: u16) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Begins a block of fixed codes.
    pub fn fixed(mut self, last: bool) -> Self {
        self.bits(usize::from(last) | 0b01 << 1, 3);
        self
    }

    pub fn literals(mut self, bytes: &[u8]) -> Self {
        bytes.iter().for_each(|&byte| self.symbol(byte.into()));
        self
    }

    /// A match of 3 to 258 bytes.
    pub fn copy(mut self, distance: usize, len: u16) -> Self {
        let code = LENGTH_BASE.iter().rposition(|&(base, _)| base <= len).unwrap();
        let (base, extra) = LENGTH_BASE[code];
        self.symbol(257 + code as u16);
        self.bits(usize::from(len - base), extra);
        let code = (0..30).rev().find(|&code| distance_base(code).0 <= distance).unwrap();
        let (base, extra) = distance_base(code);
        self.code(code, 5);
        self.bits(distance - base, extra);
        self
    }

    /// Ends a block of fixed codes.
    pub fn end(mut self) -> Self {
        self.symbol(256);
        self
    }

    /// A stored block.
    pub fn stored(mut self, bytes: &[u8], last: bool) -> Self {
        self.bits(usize::from(last), 3);
        self.used = 0;
        let len = bytes.len() as u16;
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend((!len).to_le_bytes());
        self.bytes.extend(bytes);
        self
    }

    /// Fills the last byte up.
    pub fn align(mut self) -> Self {
        self.used = 0;
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// As a message (RFC 7692 7.2.1): an empty stored block, its last four bytes left out.
    pub fn message(self) -> Vec<u8> {
        let mut bytes = self.stored(&[], false).bytes;
        bytes.truncate(bytes.len() - 4);
        bytes
    }
}

/// The largest distance of all matches, 0 if there are none. The stream must be whole: blocks to its end,
/// or to a final one.
pub fn largest_distance(stream: &[u8]) -> usize {
    let mut reader = Reader { stream, at: 0 };
    let mut largest = 0;
    while reader.at + 3 <= stream.len() * 8 {
        let last = reader.bits(1) == 1;
        match reader.bits(2) {
            0 => {
                reader.at = reader.at.next_multiple_of(8);
                let len = reader.bits(16);
                assert_eq!(reader.bits(16), !len & 0xffff, "stored lengths");
                reader.at += len * 8;
            }
            1 => {
                let literals: Vec<u8> =
                    [8; 144].into_iter().chain([9; 112]).chain([7; 24]).chain([8; 8]).collect();
                largest = largest.max(reader.block(&Codes::new(&literals), &Codes::new(&[5; 30])));
            }
            2 => {
                let (literals, distances) = reader.tables();
                largest = largest.max(reader.block(&literals, &distances));
            }
            _ => panic!("block type 3"),
        }
        if last {
            break;
        }
    }
    largest
}

/// Canonical codes: how many there are of 1 to 15 bits, and the symbols in the order of their codes.
struct Codes {
    counts: [usize; 15],
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 15];
        lengths.iter().filter(|&&len| len > 0).for_each(|&len| counts[usize::from(len) - 1] += 1);
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Self { counts, symbols }
    }
}

struct Reader<'a> {
    stream: &'a [u8],
    /// In bits.
    at: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> usize {
        let bit = self.stream[self.at / 8] >> (self.at % 8) & 1;
        self.at += 1;
        bit.into()
    }

    fn bits(&mut self, count: u8) -> usize {
        (0..count).map(|i| self.bit() << i).sum()
    }

    /// RFC 1951 3.2.2.
    fn symbol(&mut self, codes: &Codes) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in codes.counts {
            code = code << 1 | self.bit();
            if code < first + count {
                return codes.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
        }
        panic!("no such code");
    }

    fn block(&mut self, literals: &Codes, distances: &Codes) -> usize {
        let mut largest = 0;
        loop {
            match self.symbol(literals) {
                0..=255 => {}
                256 => return largest,
                symbol => {
                    self.bits(LENGTH_BASE[symbol - 257].1);
                    let code = self.symbol(distances);
                    let (base, extra) = distance_base(code as u16);
                    largest = largest.max(base + self.bits(extra));
                }
            }
        }
    }

    /// RFC 1951 3.2.7.
    fn tables(&mut self) -> (Codes, Codes) {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances, codes) = (self.bits(5) + 257, self.bits(5) + 1, self.bits(4) + 4);
        let mut code_lengths = [0; 19];
        for &place in &ORDER[..codes] {
            code_lengths[place] = self.bits(3) as u8;
        }
        let code_lengths = Codes::new(&code_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (value, times) = match self.symbol(&code_lengths) {
                16 => (*lengths.last().unwrap(), 3 + self.bits(2)),
                17 => (0, 3 + self.bits(3)),
                18 => (0, 11 + self.bits(7)),
                len => (len as u8, 1),
            };
            lengths.extend(vec![value; times]);
        }
        let (literals, distances) = lengths.split_at(literals);
        (Codes::new(literals), Codes::new(distances))
    }
}
