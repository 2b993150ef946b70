//! Answers as small and large models give them, and captions that only look like such.
use super::*;

fn answer(text: &str) -> Result<(String, bool), &'static str> {
    from_answer(text, Some("stop"), true).map(|clean| (clean.text, clean.stripped))
}

#[test]
fn openings_go_and_the_first_letter_is_a_capital() {
    for (text, caption) in [
        ("This image showcases a red bicycle.", "A red bicycle."),
        ("The image shows two dogs on a beach.", "Two dogs on a beach."),
        ("The image depicts an old mill by a river.", "An old mill by a river."),
        ("The image features a close-up of a bee.", "A close-up of a bee."),
        ("the photo captures fireworks over Sydney", "Fireworks over Sydney"),
        ("In this picture, we can see a boy with a kite.", "A boy with a kite."),
        ("In the image, there are three cups on a shelf.", "Three cups on a shelf."),
        ("In this image we can see élan in steel.", "Élan in steel."),
        ("In this scene, a woman pours tea.", "A woman pours tea."),
        ("This vibrant image prominently features a parrot.", "A parrot."),
        ("This captivating, beautiful photograph captures a lighthouse.", "A lighthouse."),
        ("The image you provided shows a blue door.", "A blue door."),
        ("The image is a black and white photo of a tram.", "A black and white photo of a tram."),
        ("This is an image of a cat on a sofa.", "An image of a cat on a sofa."),
        ("This is a photo of the Eiffel Tower.", "A photo of the Eiffel Tower."),
        ("The picture appears to show a market.", "A market."),
        ("We can see a train at a station.", "A train at a station."),
        ("Image shows a chair", "A chair"),
        ("The picture shows that it rains.", "It rains."),
    ] {
        assert_eq!(answer(text), Ok((caption.into(), true)), "{text}");
        assert_eq!(from_answer(text, None, false).unwrap().text, text, "nothing is stripped unasked");
    }
}

#[test]
fn captions_that_only_look_like_openings_stay() {
    for text in [
        "A photo of a dog in the snow.",
        "An image of Saturn taken by Cassini.",
        "This illustration shows the water cycle.",
        "The image is blurry.",
        "The photo shows off her new tattoo.",
        "The picture frame shows signs of wear.",
        "Scene from a play in a small theatre.",
        "In this town, a church stands on a hill.",
        "There is a light that never goes out, says a poster.",
        "Picture of a tractor",
        "This is a red car.",
        "The photographer captures a bride.",
        "The image",
        "Imagery shows flooding along the Rhine.",
        "Photo-realistic painting of a lemon",
    ] {
        assert_eq!(answer(text), Ok((text.into(), false)), "{text}");
    }
}

#[test]
fn thoughts_labels_quotes_and_markup_go() {
    for (text, caption) in [
        ("<think>The user wants a caption.\nOk.</think>\n\nA red bus.", "A red bus."),
        ("It is a bus, I think.</think>A red bus.", "A red bus."),
        ("<think></think>\n A  red\n\tbus. <|im_end|>", "A red bus."),
        ("<thinking>hm</thinking>A red bus.", "A red bus."),
        ("Caption: A red bus.", "A red bus."),
        ("**Caption:** A red bus.", "A red bus."),
        ("Here is a caption:\n\n\"A red bus.\"", "A red bus."),
        ("Sure! Here's a one-sentence description of the image: A red bus.", "A red bus."),
        ("Certainly! Here is the rewritten caption:\n**A red bus.**", "A red bus."),
        ("Here is the caption you asked for: **Caption:** A red bus.", "A red bus."),
        ("“A red bus.”", "A red bus."),
        ("'A red bus with the driver's hat.'", "A red bus with the driver's hat."),
        ("```\nA red bus.\n```", "A red bus."),
        ("## A red bus.", "A red bus."),
        ("\"A sign that says \"Open\" on a door\"", "A sign that says \"Open\" on a door"),
        // Those marks belong to it.
        ("\"Stop\" and \"Go\"", "\"Stop\" and \"Go\""),
        ("A poster reads: KEEP CALM", "A poster reads: KEEP CALM"),
        ("Here is a city at night: lights and rain.", "Here is a city at night: lights and rain."),
        ("Time on the clock: 10:15", "Time on the clock: 10:15"),
    ] {
        assert_eq!(answer(text), Ok((caption.into(), false)), "{text}");
    }
    for text in ["", " \n ", "<think>all was thought</think>", "Caption:", "\"\"", "<think>no end"] {
        assert_eq!(answer(text), Err(EMPTY), "{text}");
    }
}

#[test]
fn refusals_are_known_by_their_beginning() {
    for text in [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot help with identifying people.",
        "I cannot provide a description of this image.",
        "I can't assist with that.",
        "I am unable to view images directly.",
        "I'm not able to see the image.",
        "Unable to process the image.",
        "As an AI language model, I cannot see images.",
        "As an AI, I do not have eyes.",
        "Sorry, I can't do that.",
        "I'm sorry.",
        "I apologize, but the picture is not visible to me.",
        "Unfortunately, I cannot tell what this is.",
        "I don't see an image attached to your message.",
        "Please provide the image you would like me to describe.",
        "There is no image in your message.",
        "<think>unsafe?</think>I won't describe this person.",
    ] {
        assert_eq!(answer(text), Err(REFUSED), "{text}");
    }
    for text in [
        "A sorry-looking dog sits in the rain.",
        "I can't believe it's not butter, a tub of spread.",
        "I cannot live without coffee, printed on a mug.",
        "I'm sorry card with a teddy bear.",
        "Sorry, we're closed sign on a shop door.",
        "A robot as an AI assistant in a film.",
        "Unable to fly, a penguin walks on the ice.",
        "I will not go gently, says a tattoo.",
        "A man who is unable to help his dog.",
    ] {
        assert_eq!(answer(text), Ok((text.into(), false)), "{text}");
    }
    assert_eq!(from_answer("A dog.", Some("content_filter"), true), Err(REFUSED));
}

#[test]
fn loops_are_found_and_refrains_are_not() {
    let much = "a chair, ".repeat(5);
    let sentences = "The man is wearing a hat. ".repeat(3);
    let long =
        "There is a table with a white cloth, and a vase with flowers stands beside the window. ".repeat(3);
    for text in [
        "cat, cat, cat, cat, cat, cat",
        &format!("A room with {much} and more"),
        &format!("A street. {sentences}"),
        &long,
        "红色红色红色红色红色红色红色红色红色红色红色红色红色",
        "!A A A A A A A A",
        "Aaaaaaaaaaaaaaaaaaah",
    ] {
        assert_eq!(answer(text), Err(REPEATS), "{text}");
    }
    for text in [
        "A very, very, very big cake.",
        "Row, row, row your boat",
        "New York, New York, a poster for New York, New York",
        "A dog and a cat and a bird and a fish",
        "Ha ha ha ha ha says a comic",
        "红色的车停在红色的房子前面",
        "A sum of $1,000,000,000 on a cheque",
    ] {
        assert_eq!(answer(text), Ok((text.into(), false)), "{text}");
    }
}

#[test]
fn an_answer_that_was_cut_keeps_its_whole_sentences() {
    let cut = |text| from_answer(text, Some("length"), true).map(|clean| clean.text);
    for (text, caption) in [
        ("A dog runs. It has a red", Ok("A dog runs.")),
        ("A dog (a terrier.) It", Ok("A dog (a terrier.)")),
        ("Mr. Smith stands next to a 3.5 m", Err(CUT)),
        ("A sign says \"Stop!\" Beside it", Ok("A sign says \"Stop!\"")),
        ("A dog runs.", Ok("A dog runs.")),
        ("一只狗在跑。它有", Ok("一只狗在跑。")),
        ("dog, ball, grass, red coll", Err(CUT)),
        ("<think>It is a dog and", Err(CUT)),
    ] {
        assert_eq!(cut(text), caption.map(String::from), "{text}");
    }
    assert_eq!(cut(&"a chair, ".repeat(50)), Err(REPEATS), "a loop is a loop, not a cut");
}

#[test]
fn the_rules_leave_what_people_wrote() {
    let rules = |text| by_rules(text, true).map(|clean| clean.text);
    for (text, caption) in [
        ("  \"The image shows  a\n lamp\" ", Ok("A lamp")),
        ("I cannot see you poster", Ok("I cannot see you poster")),
        ("Description: lamp", Ok("Description: lamp")),
        ("  ", Err(EMPTY)),
    ] {
        assert_eq!(rules(text), caption.map(String::from), "{text}");
    }
}
