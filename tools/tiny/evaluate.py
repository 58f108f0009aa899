"""Asks a running vlmd about pictures whose right answers are known, and counts exact answers for each task.

    python3 evaluate.py draw SET_DIR [--per-task 500] [--seed 2000000000]     held-out scenes of the training generator
    python3 evaluate.py ask SET_DIR [--port 11440] [--model vlmd-tiny] [--limit N]

A set is a folder with image files and scenes.jsonl; holdout_draw.py makes another one with code of its own. An answer
counts when it equals the expected sentence; the only licence is a missing full stop at the end. `ask` writes answers.jsonl
beside the scenes and goes on where it was stopped.
"""

import argparse
import base64
import concurrent.futures
import json
import pathlib
import random
import time
import urllib.request

MIME = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}


def save_picture(rng: random.Random, picture, stem: pathlib.Path) -> str:
    """Save in one of four file formats; returns the file's name."""
    kind = rng.random()
    if kind < 0.5:
        path = stem.with_suffix(".png")
        picture.save(path)
    elif kind < 0.75:
        path = stem.with_suffix(".jpg")
        picture.save(path, quality=rng.randint(85, 95))
    elif kind < 0.9:
        path = stem.with_suffix(".webp")
        picture.save(path, lossless=True, method=0)
    else:
        path = stem.with_suffix(".gif")
        picture.quantize(256).save(path)
    return path.name


def message_content(rng: random.Random, question: str, images: int) -> list:
    """The parts of a user message: images first mostly, the question first at times."""
    pictures = [{"type": "image", "image": i} for i in range(images)]
    text = [{"type": "text", "text": question}]
    return text + pictures if images and rng.random() < 0.25 else pictures + text


def draw(args) -> None:
    """Held-out scenes: the training generator, seeds that training never used."""
    import scenes

    makers = {
        scenes.objects_scene: ["what1", "what2", "what3", "color", "where", "relation", "yesno"],
        scenes.count_scene: ["count", "whatn"],
        scenes.text_scene: ["text1-4", "text5-8", "textcolor", "char", "length", "whattext"],
        scenes.pair_scene: ["same", "differ", "nth"],
    }
    args.set.mkdir(parents=True, exist_ok=True)
    done, number = {}, 0
    with open(args.set / "scenes.jsonl", "w") as out:
        for maker, tasks in makers.items():
            while min(done.get(t, 0) for t in tasks) < args.per_task:
                rng = random.Random(args.seed + number)
                number += 1
                views, asked = maker(rng)
                rng.shuffle(asked)
                wanted = {}
                for task, question, answer in asked:
                    if task in tasks and done.get(task, 0) < args.per_task:
                        wanted.setdefault(task, (question, answer))
                if not wanted:
                    continue
                files = [save_picture(rng, v.picture, args.set / f"{number:06}-{i}") for i, v in enumerate(views)]
                for task, (question, answer) in wanted.items():
                    done[task] = done.get(task, 0) + 1
                    line = {"task": task, "images": files, "content": message_content(rng, question, len(files)), "answer": answer}
                    out.write(json.dumps(line) + "\n")
        rng = random.Random(args.seed)
        for task, question, answer in scenes.small_talk(rng, min(args.per_task, 200)):
            out.write(json.dumps({"task": task, "images": [], "content": message_content(rng, question, 0), "answer": answer}) + "\n")
    print(done)


def request_body(scene: dict, folder: pathlib.Path, model: str) -> bytes:
    content = []
    for part in scene["content"]:
        if part["type"] == "text":
            content.append(part)
            continue
        path = folder / scene["images"][part["image"]]
        data = base64.b64encode(path.read_bytes()).decode()
        content.append({"type": "image_url", "image_url": {"url": f"data:{MIME[path.suffix]};base64,{data}"}})
    return json.dumps({"model": model, "temperature": 0, "max_tokens": 96,
                       "messages": [{"role": "user", "content": content}]}).encode()


def ask_one(scene: dict, args) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{args.port}/v1/chat/completions", request_body(scene, args.set, args.model),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


def right(said: str, expected: str) -> bool:
    return said.strip().removesuffix(".") == expected.removesuffix(".")


def table(scenes: list, answers: dict) -> str:
    """Exact answers for each task, as Markdown."""
    tasks = {}
    for i, scene in enumerate(scenes):
        if i in answers:
            count = tasks.setdefault(scene["task"], [0, 0])
            count[0] += right(answers[i], scene["answer"])
            count[1] += 1
    lines = ["| task | exact | questions |", "| --- | --- | --- |"]
    lines += [f"| {t} | {100 * a / n:.1f} % | {n} |" for t, (a, n) in tasks.items()]
    total = [sum(v[0] for v in tasks.values()), sum(v[1] for v in tasks.values())]
    return "\n".join(lines + [f"| all | {100 * total[0] / max(1, total[1]):.1f} % | {total[1]} |"])


def ask(args) -> None:
    scenes = [json.loads(line) for line in open(args.set / "scenes.jsonl")]
    kept = args.set / "answers.jsonl"
    answers = {}
    if kept.exists():
        answers = {e["scene"]: e["answer"] for e in map(json.loads, open(kept))}
    todo = [i for i, s in enumerate(scenes) if i not in answers and s["task"] not in args.skip]
    random.Random(0).shuffle(todo)
    todo = todo[:args.limit or None]
    began = time.time()
    with open(kept, "a") as out, concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
        for n, (i, said) in enumerate(zip(todo, pool.map(lambda i: ask_one(scenes[i], args), todo)), 1):
            answers[i] = said
            out.write(json.dumps({"scene": i, "answer": said}) + "\n")
            out.flush()
            if n % 250 == 0:
                print(f"{n} of {len(todo)} asked, {(time.time() - began) / n:.2f} s each", flush=True)
    print(table(scenes, answers))
    wrong = [(s["task"], s["images"], s["answer"], answers[i]) for i, s in enumerate(scenes)
             if i in answers and not right(answers[i], s["answer"])]
    for entry in wrong[:args.show_wrong]:
        print(*entry, sep=" | ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sub = parser.add_subparsers(required=True)
    p = sub.add_parser("draw", help="draw held-out scenes")
    p.add_argument("set", type=pathlib.Path)
    p.add_argument("--per-task", type=int, default=500)
    p.add_argument("--seed", type=int, default=2_000_000_000)
    p.set_defaults(call=draw)
    p = sub.add_parser("ask", help="ask a running server")
    p.add_argument("set", type=pathlib.Path)
    p.add_argument("--port", type=int, default=11440)
    p.add_argument("--model", default="vlmd-tiny")
    p.add_argument("--limit", type=int, default=0, help="ask only so many, chosen at random")
    p.add_argument("--skip", nargs="*", default=[], metavar="TASK")
    p.add_argument("--parallel", type=int, default=2)
    p.add_argument("--show-wrong", type=int, default=0)
    p.set_defaults(call=ask)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
