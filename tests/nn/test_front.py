from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqlab.data import Batch, Spec
from seqlab.errors import RequestError
from seqlab.nn.front import ConvolutionFront, Front

TOKENS = Spec("classification", output_size=2, vocabulary_size=50)
SCORED = replace(TOKENS, token_scores=torch.zeros(50, 2))
FEATURES = Spec("classification", output_size=2, input_size=3)


def batch(x, **parts) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)), **parts)


def test_tokens_become_rows_of_the_table_and_padding_zeros():
    front = Front(TOKENS, 8, embedding_size=5)
    x = torch.tensor([[4, 7, 0]])
    got = front(x, batch(x)).x
    assert (got[0, :2] == front.embedding.table.weight[[4, 7]]).all()
    assert (got[0, 2] == 0).all()
    assert front.output_size == 5
    assert Front(TOKENS, 8).output_size == 8


def test_embedding_std_scales_the_first_vectors_and_draws_nothing_more():
    tables = []
    for std in (1.0, 0.1):
        torch.manual_seed(0)
        tables.append(Front(TOKENS, 400, embedding_std=std).embedding.table.weight)
    assert torch.equal((tables[0] * 0.1).detach(), tables[1].detach())
    assert abs(tables[1][1:].std().item() - 0.1) < 0.002


def test_embedding_prior_puts_the_scores_on_the_first_features():
    scores = torch.zeros(TOKENS.vocabulary_size, 2)
    scores[7], scores[9] = torch.tensor([1.5, -1.5]), torch.tensor([-0.5, 0.5])
    tables = []
    for prior in (0.0, 0.4):
        torch.manual_seed(0)
        front = Front(replace(TOKENS, token_scores=scores), 5, embedding_prior=prior)
        tables.append(front.embedding.table.weight.detach())
    expected = torch.zeros(TOKENS.vocabulary_size, 5)
    expected[7, :2], expected[9, :2] = torch.tensor([0.6, -0.6]), torch.tensor([-0.2, 0.2])
    assert torch.allclose(tables[1] - tables[0], expected, atol=1e-6)


def test_embedding_dropout_drops_whole_words_everywhere_at_once():
    front = Front(TOKENS, 4, embedding_dropout=0.5).train()
    x = torch.randint(1, 50, (6, 40))
    vectors, got = front.embedding.table(x), front(x, batch(x)).x
    factor = (got / vectors).detach()
    assert set(factor.unique().tolist()) <= {0.0, 2.0}
    for token in x.unique():
        assert factor[x == token].unique().numel() == 1
    words = torch.tensor([factor[x == token][0, 0] for token in x.unique()])
    assert 0.2 < (words == 0).double().mean() < 0.8
    assert (front.eval()(x, batch(x)).x == vectors).all()


@pytest.mark.parametrize("freeze", [False, True])
def test_pretrained_vectors_are_taken_and_stay_if_frozen(freeze):
    vectors = torch.randn(50, 6)
    spec = Spec("classification", output_size=2, vocabulary_size=50, vectors=vectors, freeze_vectors=freeze)
    table = Front(spec, 8).embedding.table.weight
    assert (table[1:] == vectors[1:]).all()
    assert (table[0] == 0).all()
    assert table.requires_grad is not freeze
    with torch.no_grad():
        table[1:] += 1  # the data's own copy must not move
    assert (vectors != table).any()
    with pytest.raises(RequestError, match=r"embedding_size=8, but the pretrained vectors have 6 features"):
        Front(spec, 8, embedding_size=8)


@pytest.mark.parametrize(("causal", "before"), [(True, 2), (False, 1)])
def test_the_convolution_equals_numpy_whatever_stands_in_the_padding(causal, before):
    front = ConvolutionFront(2, 4, 3, causal)
    w, bias = front.convolution.weight.detach().numpy(), front.convolution.bias.detach().numpy()
    x, lengths = torch.randn(2, 6, 2), (6, 4)
    got = front(x, front.initial_tail(x), torch.tensor(lengths))[0].detach().numpy()
    for b, n in enumerate(lengths):
        padded = np.zeros((n + 2, 2))
        padded[before : before + n] = x[b, :n].numpy()
        expected = [np.maximum(np.einsum("oik,ki->o", w, padded[t : t + 3]) + bias, 0) for t in range(n)]
        np.testing.assert_allclose(got[b, :n], expected, rtol=0, atol=1e-14)


def test_a_causal_convolution_in_pieces_equals_the_whole():
    front = Front(FEATURES, 4, kernel_size=3)
    x = torch.randn(2, 6, 3)
    whole = front(x, batch(x)).x
    first = front(x[:, :1], batch(x[:, :1]))
    second, tail = front.extend(x[:, 1:], first.tail)
    torch.testing.assert_close(torch.cat([first.x, second], 1), whole, rtol=0, atol=1e-14)
    assert (tail == x[:, -2:]).all()


def test_what_was_observed_passes_only_while_it_names_the_features():
    x, mask, time = torch.randn(2, 6, 3), torch.ones(2, 6, 3), torch.zeros(2, 6)
    given = batch(x, mask=mask, delta=mask, time=time)
    bare = Front(FEATURES, 4)(x, given).aux
    assert all(got is given for got, given in zip(bare, (mask, mask, time), strict=True))
    convolved = Front(FEATURES, 4, kernel_size=2)(x, given).aux
    assert all(got is given for got, given in zip(convolved, (None, None, time), strict=True))
    assert Front(FEATURES, 4)(x, batch(x)).aux is None


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (TOKENS, {"embedding_size": 0}, r"model\.embedding_size must be a whole number of at least 1; got 0"),
        (TOKENS, {"embedding_dropout": 1.0}, r"model\.embedding_dropout must be a number in \[0, 1\)"),
        (TOKENS, {"kernel_size": -1}, r"model\.front_kernel must be a whole number of at least 0; got -1"),
        (TOKENS, {"embedding_std": 0.0}, r"model\.embedding_std must be above 0; got 0"),
        (FEATURES, {"embedding_size": 5}, "for tokens; this data has features"),
        (FEATURES, {"embedding_std": 0.1}, "for tokens; this data has features"),
        (FEATURES, {"embedding_prior": 0.1}, "for tokens; this data has features"),
        (TOKENS, {"embedding_prior": 0.1}, "texts with one class each; this data has none"),
        (SCORED, {"embedding_prior": -1.0}, r"model\.embedding_prior must be 0 or more; got -1"),
        (
            SCORED,
            {"embedding_prior": 1.0, "embedding_size": 1},
            "a feature for each of 2 classes; .*embedding_size is 1",
        ),
        (replace(SCORED, freeze_vectors=True), {"embedding_prior": 1.0}, "vectors that data.freeze_vectors keeps"),
    ],
)
def test_bad_options_are_refused(spec, options, message):
    with pytest.raises(RequestError, match=message):
        Front(spec, 8, **options)
