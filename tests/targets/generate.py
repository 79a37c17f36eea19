"""A server in miniature: loads the model in the folder of the first argument, and answers with what it generates."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import onnxruntime_genai as genai


def generated(folder):
    model = genai.Model(folder)
    tokenizer = genai.Tokenizer(model)
    parameters = genai.GeneratorParams(model)
    parameters.set_search_options(max_length=20, do_sample=False)
    generator = genai.Generator(model, parameters)
    generator.append_tokens(tokenizer.encode("The value of"))
    while not generator.is_done():
        generator.generate_next_token()
    return tokenizer.decode(generator.get_sequence(0))


TEXT = generated(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"text": TEXT}).encode())


if "SLMC_PORT" in os.environ:
    HTTPServer((os.environ["SLMC_HOST"], int(os.environ["SLMC_PORT"])), Handler).serve_forever()
else:
    print(TEXT, end="")
