"""Datasets: three sources of the same kind of thing."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.evaluation.conftest import SHAPE
from tfgig.demonstration import Builtin, scenes
from tfgig.evaluation.dataset import Dataset, Directory, Records
from tfgig.spec import from_config, members, to_config


def test_a_directory_has_labels_masks_and_boxes(folder):
    items = list(Directory(str(folder)).items(SHAPE))
    assert [item.name for item in items] == [f"image{i:02d}.png" for i in range(12)]
    assert [item.label for item in items] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, -1]
    expected = np.zeros(SHAPE[:2], bool)
    expected[4:12, 6:14] = True
    np.testing.assert_array_equal(items[0].mask, expected)
    expected[:] = False
    expected[2:10, 3:12] = True
    expected[12:14, 0:4] = True
    np.testing.assert_array_equal(items[1].mask, expected)
    assert not items[2].mask.any()
    assert len(list(Directory(str(folder), limit=5).items(SHAPE))) == 5


def test_masks_and_boxes_go_where_their_image_goes(folder):
    """Stretched to half the width and cropped from double the height."""
    for fit, shape in (("stretch", (24, 10, 3)), ("crop", (12, 20, 3))):
        items = list(Directory(str(folder), fit).items(shape))
        assert items[0].image.shape == shape
        rows, columns = np.nonzero(items[0].mask)
        if fit == "stretch":
            assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 11, 3, 6)
        else:  # rows 6 to 18 of 24 stay
            assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 5, 6, 13)


def test_a_directory_without_notes_is_fine(tmp_path):
    Image.new("RGB", (20, 24), (10, 20, 30)).save(tmp_path / "only.jpg")
    (item,) = Directory(str(tmp_path)).items(SHAPE)
    assert item.label == -1
    assert not item.mask.any()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("file,label\nonly.jpg,dog", r"Line 2 of labels.csv: a label must be the index.*'dog'"),
        ("file,label\n\nonly.jpg", r"Line 3 of labels.csv: a label"),
        ("file,label\nother.jpg,1", r"lists none.*such as only.jpg. Received: 'other.jpg'"),
        (
            "file,label\nonly.jpg,1\nonly.jpg,2",
            "Line 3 of labels.csv gives a second label for a file",
        ),
        (
            "file,label,top,left,bottom,right\nonly.jpg,1,2,3,4,",
            "Line 2 of labels.csv has an incomplete box",
        ),
    ],
)
def test_labels_that_cannot_be_read_are_named(tmp_path, lines, message):
    Image.new("RGB", (20, 24)).save(tmp_path / "only.jpg")
    (tmp_path / "labels.csv").write_text(lines + "\n")
    with pytest.raises(ValueError, match=message):
        list(Directory(str(tmp_path)).items(SHAPE))


def test_labels_of_a_spreadsheet(tmp_path):
    Image.new("RGB", (20, 24)).save(tmp_path / "only.jpg")
    (tmp_path / "labels.csv").write_text("file,label\nonly.jpg,3\n", encoding="utf-8-sig")
    assert [item.label for item in Directory(str(tmp_path)).items(SHAPE)] == [3]


def test_boxes_of_a_picture_that_its_camera_turned(tmp_path):
    """Twice as high as wide, stored lying; its box is the upper half."""
    lying = Image.new("RGB", (24, 12))
    turned = Image.Exif()
    turned[0x0112] = 6  # the first row is the right side
    file = io.BytesIO()
    lying.save(file, "jpeg", exif=turned)
    sides = {"ymin": 0.0, "xmin": 0.0, "ymax": 0.5, "xmax": 1.0}
    features = {
        f"image/object/bbox/{side}": tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for side, value in sides.items()
    }
    features["image/encoded"] = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[file.getvalue()])
    )
    path = str(tmp_path / "turned.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(
            tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
        )
    (item,) = Records(path).items((24, 12, 3))
    assert item.mask[:11].all()
    assert not item.mask[13:].any()


def record(image, label, **features):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[file.getvalue()])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        **features,
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_records_have_the_keys_of_imagenets(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    sides = {"ymin": 0.25, "xmin": 0.5, "ymax": 0.75, "xmax": 1.0}
    box = {
        f"image/object/bbox/{side}": tf.train.Feature(float_list=tf.train.FloatList(value=[share]))
        for side, share in sides.items()
    }
    path = tmp_path / "validation-0"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record(image, 7, **box))
        writer.write(record(image, 8))
    first, second = Records(str(tmp_path / "validation-*")).items(SHAPE)
    np.testing.assert_array_equal(first.image, image)
    assert (first.name, first.label, second.label) == ("record000000", 7, 8)
    expected = np.zeros(SHAPE[:2], bool)
    expected[6:18, 10:] = True
    np.testing.assert_array_equal(first.mask, expected)
    assert not second.mask.any()


def test_the_built_in_scenes_are_a_tf_data_source_and_always_the_same():
    shape = (scenes.SIZE, scenes.SIZE, 3)
    first, again = (
        list(Builtin(count=9).load(shape).batch(4).as_numpy_iterator()) for _ in range(2)
    )
    assert [len(batch["label"]) for batch in first] == [4, 4, 1]
    for one, other in zip(first, again, strict=True):
        for key in ("name", "image", "label", "mask"):
            np.testing.assert_array_equal(one[key], other[key])
    assert first[0]["image"].dtype == np.float32
    assert first[0]["mask"].any((1, 2)).all()
    assert Builtin().count >= 300


@pytest.mark.parametrize("kind", members(Dataset))
def test_a_dataset_is_a_spec(kind):
    assert from_config(json.loads(json.dumps(to_config(kind())))) == kind()


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="directory does not exist"):
        list(Directory(str(tmp_path / "nowhere")).items(SHAPE))
    with pytest.raises(ValueError, match="has no images"):
        list(Directory(str(tmp_path)).items(SHAPE))
    with pytest.raises(ValueError, match="need their own dataset"):
        list(Builtin(count=1).items(SHAPE))
    with pytest.raises(ValueError, match="No TFRecord"):
        list(Records(str(tmp_path / "x*")).items(SHAPE))
    (tmp_path / "labels.csv").write_text("name,class\n")
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="columns `file` and `label`"):
        list(Directory(str(tmp_path)).items(SHAPE))
