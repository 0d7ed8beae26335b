"""Two pictures made of boxes: one tick's path, and what may become of an order."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from bot.core.model import AttemptState, OutcomeState
from bot.simulate.report import INK, UNHEDGED

WORLD, PURE, SOFT, END = "#e6ecf2", "#d6ece9", "#5b6875", "#f5ddd1"

TICK = (
    (
        ("advance", "follow up open orders", WORLD),
        ("observe", "one block per chain:\npositions, prices, vols", WORLD),
    ),
    (
        ("measure", "greeks, net delta\nwith its error bar", PURE),
        ("decide", "the policy: hold,\nor trade how much", PURE),
        ("guard", "limits and mode:\nless, or nothing", PURE),
    ),
    (
        ("prepare", "calldata, tried\non the node", WORLD),
        ("mandate", "the decoded bytes\nagainst the bounds", WORLD),
        ("sign, commit", "bytes in the ledger\nbefore they leave", WORLD),
        ("send", "later ticks follow\nthe receipt", WORLD),
    ),
)


def canvas(figure: Figure, width: float, height: float) -> Axes:
    """Axes without a frame, in units of a box's height."""
    axes = figure.subplots()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return axes


def box(axes: Axes, x: float, y: float, title: str, text: str, colour: str, width: float = 2.2) -> None:
    """A box around (x, y) with a title and what it means."""
    corner = (x - width / 2, y - 0.5)
    axes.add_patch(
        FancyBboxPatch(corner, width, 1.0, "round,pad=0,rounding_size=0.1", fc=colour, ec=SOFT, lw=0.8)
    )
    axes.text(x, y + (0.24 if text else 0), title, ha="center", va="center", fontweight="bold", fontsize=10.5)
    axes.text(x, y - 0.2, text, ha="center", va="center", fontsize=8.3, color=INK, linespacing=1.15)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], said: str = "", *,
    at: tuple[float, float] | None = None, bend: float = 0.0, colour: str = INK,
) -> None:  # fmt: skip
    """An arrow, with words at `at`, or above its middle."""
    style = {
        "arrowstyle": "-|>",
        "color": colour,
        "connectionstyle": f"arc3,rad={bend}",
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", end, start, arrowprops=style)
    x, y = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.12)
    axes.text(x, y, said, ha="center", va="center", fontsize=8.3, color=colour)


def draw_tick(figure: Figure) -> None:
    """What the desk does with a book, from the scheduler's call to the next one."""
    axes = canvas(figure, 11.0, 5.6)
    for row, boxes in enumerate(TICK):
        y = 4.7 - row * 1.75
        for column, (title, text, colour) in enumerate(boxes):
            x = 1.3 + column * 2.75
            box(axes, x, y, title, text, colour)
            if column:
                arrow(axes, (x - 1.65, y), (x - 1.1, y))
    arrow(axes, (4.05, 4.2), (1.3, 3.45), "a snapshot, frozen", at=(3.95, 3.75))
    arrow(axes, (6.8, 2.45), (1.3, 1.7), "a trade, or a move of collateral", at=(6.35, 2.0))
    arrow(axes, (7.9, 2.95), (9.0, 2.95), "hold", at=(8.4, 3.1))
    axes.text(
        9.1, 2.95, "the reason is recorded,\nand the next price\nthat would matter", va="center", fontsize=8.8
    )
    axes.text(6.0, 4.85, "grey: reads or changes the world", fontsize=8.8, color=SOFT)
    axes.text(
        6.0,
        4.5,
        "green: pure, and replays from the ledger\nto the last bit",
        fontsize=8.8,
        color=SOFT,
        va="top",
    )
    axes.text(
        0.2,
        0.3,
        "The tick is in the ledger before an order is prepared.",
        fontsize=8.8,
        color=SOFT,
    )


def draw_orders(figure: Figure) -> None:
    """An order's outcome, and the state of every transaction that was signed for it."""
    axes = canvas(figure, 11.0, 8.2)
    draw_outcomes(axes)
    axes.plot([0.2, 10.8], [4.25, 4.25], color=SOFT, linewidth=0.6)
    draw_attempts(axes)


def draw_outcomes(axes: Axes) -> None:
    """The upper half: what becomes of an order."""
    state = OutcomeState
    axes.text(0.2, 7.95, "Outcome of an order", fontsize=12, fontweight="bold")
    box(axes, 1.3, 6.1, state.PENDING, "meant, maybe signed\nor waiting", WORLD)
    for y, name, text, colour in (
        (7.25, state.FILLED, "did what it should", PURE),
        (6.1, state.PARTIAL, "did a part of it", PURE),
        (4.95, state.DEAD, "traded nothing, and\ncan't any more", END),
    ):
        box(axes, 5.4, y, name, text, colour)
        arrow(axes, (2.4, 6.1), (4.3, y))
    box(axes, 9.5, 6.1, state.UNKNOWN, "a reorg undid it:\nfollowed up again", WORLD)
    arrow(axes, (6.5, 7.25), (8.4, 6.4), colour=UNHEDGED)
    arrow(axes, (6.5, 6.1), (8.4, 6.1), "reorg", colour=UNHEDGED)
    arrow(axes, (6.5, 4.95), (8.4, 5.8), colour=UNHEDGED)
    box(axes, 9.5, 7.55, state.PAPER, "recorded, never sent", PURE)


def draw_attempts(axes: Axes) -> None:
    """The lower half: what becomes of each transaction."""
    state = AttemptState
    axes.text(0.2, 3.8, "State of each transaction signed for it", fontsize=12, fontweight="bold")
    box(axes, 1.3, 2.4, state.SIGNED, "bytes are in\nthe ledger", WORLD)
    box(axes, 4.1, 2.4, state.SENT, "a node took it", WORLD)
    arrow(axes, (2.4, 2.4), (3.0, 2.4))
    for y, name, text, colour in (
        (3.0, state.MINED_OK, "mined deep enough", PURE),
        (1.8, state.REVERTED, "mined, did nothing", END),
        (0.6, state.REPLACED, "another one of the same\nnonce was mined", END),
    ):
        box(axes, 7.0, y, name, text, colour, 2.3)
        arrow(axes, (5.2, 2.4), (5.85, y))
    box(axes, 9.8, 2.4, state.FINAL, "can't be undone", PURE, 1.9)
    arrow(axes, (8.15, 3.0), (8.85, 2.6))
    arrow(axes, (8.15, 1.8), (8.85, 2.2))
    arrow(axes, (6.2, 3.5), (4.1, 2.9), "reorg: back to SENT", at=(7.0, 3.72), bend=0.25, colour=UNHEDGED)
