"""The game of guessing an item, from the command line."""

from headstart.cli import main


def test_it_trains_asks_and_guesses(tmp_path, monkeypatch, capsys):
    path = tmp_path / "fruit.csv"
    path.write_text("fruit,is red,is long\ncherry,1,0\nbanana,0,1\nlime,0,0\n")
    answers = iter(["perhaps", "yes", *["n"] * 3])  # of which the first is asked again
    asked = []

    def reply(prompt):
        asked.append(prompt)
        text = next(answers)
        return text if text != "yes" else ("y" if "red" in prompt else "n")

    monkeypatch.setattr("builtins.input", reply)
    arguments = ["ask", "--questions", str(path), "--budget", "4", "--iterations", "3"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert len(asked) == 5
    assert asked[0] == asked[1]
    assert "banana" in printed
    assert "It is: " in printed


def test_tables_that_cannot_be_asked_about(tmp_path, capsys):
    path = tmp_path / "twins.csv"
    path.write_text("item,a\nx,1\ny,1\n")
    assert main(["ask", "--questions", str(path)]) == 2
    assert "hypotheses 0 and 1" in capsys.readouterr().err
