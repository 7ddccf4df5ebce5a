"""Hugging Face's GPT2LMHeadModel (transformers/models/gpt2/modeling_gpt2.py) with all dropouts 0."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

DEVIATION = 0.02


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.empty(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))
        nn.init.normal_(self.weight, std=DEVIATION)

    def forward(self, x):
        size_out = x.size()[:-1] + (self.nf,)
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size_out)


class GPT2Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.width, self.heads = width, heads
        self.c_attn = Conv1D(3 * width, width)
        self.c_proj = Conv1D(width, width)

    def forward(self, x):
        B, T, _ = x.shape
        split = lambda part: part.view(B, T, self.heads, -1).transpose(1, 2)
        query, key, value = (split(part) for part in self.c_attn(x).split(self.width, dim=2))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).contiguous().reshape(B, T, self.width))


def new_gelu(x):
    """GPT-2's own formula, several operations long."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_tanh(x):
    """The same function as one operation, rounded once: Hugging Face's "gelu_pytorch_tanh", and what Lockstep uses."""
    return F.gelu(x, approximate="tanh")


class GPT2MLP(nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.activation = activation
        self.c_fc = Conv1D(4 * width, width)
        self.c_proj = Conv1D(width, 4 * width)

    def forward(self, x):
        return self.c_proj(self.activation(self.c_fc(x)))


class GPT2Block(nn.Module):
    def __init__(self, width, heads, activation):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = GPT2Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = GPT2MLP(width, activation)

    def forward(self, x):
        x = self.attn(self.ln_1(x)) + x
        return x + self.mlp(self.ln_2(x))


class GPT2Model(nn.Module):
    def __init__(self, vocabulary, context, layers, width, heads, activation):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.h = nn.ModuleList([GPT2Block(width, heads, activation) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width, eps=1e-5)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class GPT2LMHeadModel(nn.Module):
    def __init__(self, vocabulary, context, layers, width, heads, activation):
        super().__init__()
        self.transformer = GPT2Model(vocabulary, context, layers, width, heads, activation)

        def initialize(module):
            if isinstance(module, (Conv1D, nn.Embedding)):
                module.weight.data.normal_(0.0, DEVIATION)
            if isinstance(module, (GPT2Attention, GPT2MLP)):
                module.c_proj.weight.data.normal_(0.0, DEVIATION / math.sqrt(2 * layers))

        self.apply(initialize)

    def forward(self, tokens):
        return F.linear(self.transformer(tokens), self.transformer.wte.weight)  # lm_head.weight is wte.weight


def gpt2(_, vocabulary):
    return GPT2LMHeadModel(vocabulary, 1024, layers=12, width=768, heads=12, activation=gelu_tanh)


def gpt2_tiny(_, vocabulary, activation=gelu_tanh):
    return GPT2LMHeadModel(vocabulary, 128, layers=4, width=256, heads=4, activation=activation)


def gpt2_tiny_with_new_gelu(_, vocabulary):
    return gpt2_tiny(_, vocabulary, new_gelu)
