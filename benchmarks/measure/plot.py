"""Line charts with logarithmic axes as SVG text: no library for two axes and three lines."""
import math

COLOURS = ("#0072b2", "#d55e00", "#777777")        # told apart with any eyes
WIDTH, HEIGHT = 460, 320                           # of one chart's axes
LEFT, TOP, GAP = 70, 60, 100


def two_charts(title, first, second, x_name):
    """first, second: (name of the y axis, {line: [(x, y), …]}), positive values; both have the same x."""
    width, height = 2 * (LEFT + WIDTH) + GAP, TOP + HEIGHT + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="{LEFT}" y="24" font-size="16">{title}</text>']
    for number, (y_name, lines) in enumerate((first, second)):
        parts += _chart(LEFT + number * (WIDTH + GAP), y_name, lines, x_name)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _chart(left, y_name, lines, x_name):
    points = [point for line in lines.values() for point in line]
    x_at = _axis([x for x, _ in points], left, left + WIDTH, whole_decades=False)
    y_at = _axis([y for _, y in points], TOP + HEIGHT, TOP, whole_decades=True)
    parts = [f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#444"/>',
             f'<text x="{left}" y="{TOP - 10}">{y_name}</text>',
             f'<text x="{left + WIDTH}" y="{TOP + HEIGHT + 38}" text-anchor="end">{x_name}</text>']
    for value in _decades([y for _, y in points]):
        y = y_at(value)
        parts += [f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
                  f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>']
    for value in sorted({x for x, _ in points})[::2]:
        parts.append(f'<text x="{x_at(value):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{_bytes(value)}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number]
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
        parts.append(f'<text x="{left + 12}" y="{TOP + 20 + 16 * number}" fill="{colour}">{name}</text>')
    return parts


def _decades(values):
    return [10.0 ** k for k in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)]


def _axis(values, begin, end, whole_decades):
    """A function from a value to its place between begin and end."""
    low, high = (_decades(values)[0], _decades(values)[-1]) if whole_decades else (min(values) / 2, max(values) * 2)
    scale = (end - begin) / (math.log(high) - math.log(low))
    return lambda value: begin + (math.log(value) - math.log(low)) * scale


def _bytes(value):
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:g} {unit}"
        value /= 1024
    return f"{value:g} GB"
