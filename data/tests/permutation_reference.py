"""The permutation of data/README.md, written a second time; prints what permutation_test compares.

Usage: permutation_reference.py COUNT SEED EPOCH INDEX...    one line: the sample at each index
"""

import sys

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


class Permutation:
    def __init__(self, count, seed, epoch):
        self.count = count
        self.half = max(4, ((count - 1).bit_length() + 1) // 2)
        state = mix(mix((seed + GOLDEN) & WORD) ^ ((epoch + GOLDEN) & WORD))
        self.keys = [mix((state + i * GOLDEN) & WORD) for i in range(1, 7)]

    def __call__(self, index):
        while True:
            left, right = index >> self.half, index & ((1 << self.half) - 1)
            for key in self.keys:
                left, right = right, left ^ (mix((right + key) & WORD) >> (64 - self.half))
            index = left << self.half | right
            if index < self.count:
                return index


if __name__ == "__main__":
    count, seed, epoch, *indices = map(int, sys.argv[1:])
    order = Permutation(count, seed, epoch)
    print(*(order(i) for i in indices))
