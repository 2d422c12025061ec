# The development server: the models below /models, over gRPC and REST, with the page to try them.
#
#   docker build -t tfgig .
#   docker run --rm -p 8500:8500 -p 8501:8501 -v /models/flowers:/models/flowers:ro \
#     tfgig --model_base_path=/models/flowers
#
# For development and tests. In production, run the official image of TensorFlow Serving: tfgig-config
# writes its files.
FROM python:3.12-slim

RUN useradd --create-home tfgig
COPY pyproject.toml README.md LICENSE /src/
COPY tfgig /src/tfgig
COPY tools /src/tools
COPY saved_models /src/saved_models
RUN pip install --no-cache-dir '/src[serving]' && rm -r /src

USER tfgig
EXPOSE 8500 8501
ENTRYPOINT ["tfgig-serve", "--host=0.0.0.0"]
