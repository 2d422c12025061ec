"""Asks exports in a process that knows nothing else, as a server would.

python run_requests.py <requests.pickle> <answers.pickle>

The requests are a list of `(version directory, signature, inputs by name)`; the answers, in the
same order, are outputs by name, or the text of an error.
"""

import pathlib
import pickle
import sys

import tensorflow as tf

from tfgig.serving import SessionModel


def answer(requests):
    answers, models = [], {}
    for directory, signature, inputs in requests:
        if directory not in models:
            models[directory] = SessionModel(directory)
        try:
            answers.append(models[directory].run(signature, **inputs))
        except tf.errors.OpError as error:
            answers.append(error.message)
    return answers


if __name__ == "__main__":
    requests = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
    pathlib.Path(sys.argv[2]).write_bytes(pickle.dumps(answer(requests)))
